"""Images whose gradients vanish: those of a loss, or those of the logits that it compares."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gratis.attacks import LossName
from gratis.attacks.pgd import loss_gradient
from gratis.evaluation.evaluated_model import EvaluatedModel, ImageBatch

# A smaller gradient is lost in float32, whose smallest normal number is 1e-38.
VANISHED = 1e-30
# The logarithm of a sum of probabilities that is 1 up to rounding.
_ROUNDING = 1e-3
_LOSSES: tuple[LossName, ...] = ("cross_entropy", "margin")


def vanished_gradients(
    evaluated: EvaluatedModel, batch: ImageBatch
) -> dict[str, NDArray[np.bool_]]:
    """Return whether gradients of each image are too small to follow, (n,), by what was derived.

    The names are ``cross entropy``, ``margin`` and ``logit``. The last is true where the gradient
    of the label's logit vanishes, or that of the highest other logit: such logits were cut off, and
    an attack cannot tell how far beyond the limit they are.
    """
    if len(batch.labels) == 0:
        return dict.fromkeys(["cross entropy", "margin", "logit"], np.zeros(0, dtype=np.bool_))
    found = {loss.replace("_", " "): _of_loss(evaluated, batch, loss) for loss in _LOSSES}
    found["logit"] = _of_logits(evaluated, batch)
    return {name: flags.cpu().numpy() for name, flags in found.items()}


def _of_loss(evaluated: EvaluatedModel, batch: ImageBatch, loss: LossName) -> Tensor:
    gradient, _ = loss_gradient(evaluated.classify, batch.images, batch.labels, loss)
    return _is_zero(gradient)


def _of_logits(evaluated: EvaluatedModel, batch: ImageBatch) -> Tensor:
    with torch.enable_grad():
        inputs = batch.images.detach().requires_grad_()
        logits = evaluated.classify(inputs).float()
        others = logits.scatter(1, batch.labels[:, None], -torch.inf).argmax(1)
        chosen = [logits.gather(1, classes[:, None]) for classes in (batch.labels, others)]
        zero = [_is_zero(_gradient(values.sum(), inputs)) for values in chosen]
    with torch.no_grad():
        inverted = evaluated.classify(1 - batch.images).float()
    both = torch.cat([logits.detach(), inverted])
    # The logit of a class may be constant, such as 0 for the reference of the others.
    varies = both.amax(0) > both.amin(0)
    # The logarithm of a probability that rounds to 1 has no gradient; those of the others have.
    normalised = logits.detach().logsumexp(1).abs() <= _ROUNDING
    right, wrong = (
        none & varies[classes] for none, classes in zip(zero, (batch.labels, others), strict=True)
    )
    return (right & ~normalised) | wrong


def _gradient(total: Tensor, inputs: Tensor) -> Tensor:
    if not total.requires_grad:
        return torch.zeros_like(inputs)
    (gradient,) = torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True)
    return torch.zeros_like(inputs) if gradient is None else gradient


def _is_zero(gradient: Tensor) -> Tensor:
    """Return whether each gradient is zero, nearly zero or not finite, (n,)."""
    finite = gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return finite.abs().amax((1, 2, 3)) <= VANISHED
