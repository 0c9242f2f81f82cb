"""What the sanity checks look at: a few attacks, weak and strong, on the same few images."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gratis.attacks import BALLS, AttackSettings, LossName, full_precision, run_attack
from gratis.attacks.pgd import loss_gradient
from gratis.data.batches import to_float
from gratis.evaluation.evaluated_model import EvaluatedModel, ImageBatch
from gratis.seeds import generator

Flags = NDArray[np.bool_]

# Steps of PGD in the check that more of them are no weaker.
FEW, MANY = 5, 50
# Draws of random noise; the worst of them counts.
DRAWS = 10
# Within half of the pixel range every image can be turned into a grey one, whatever it showed.
HUGE = 0.5
# A float32 ends at 1e-38; a gradient below this has lost its digits on the way, or is none.
VANISHED = 1e-30


@dataclass(frozen=True)
class Evidence:
    """What some images have shown, those of them that are right without an attack.

    Attributes:
        asked: the number of images, right or wrong.
        guessing: what share of the split always naming its most frequent class gets right.
        unsteady: by how much the logits of an image differ when it is asked about twice, as a
            share of their spread, on average; in [0, 1].
        vanished: for each loss, which images have no gradient that could be followed, (n,).
        fooled: by attack, which images it fools, (n,): ``noise``, ``fgsm``, ``few`` and ``many``
            steps of PGD within epsilon, ``huge`` (PGD within ``HUGE``), and ``transfer`` where
            there is such a set.
    """

    asked: int
    guessing: float
    unsteady: float
    vanished: dict[LossName, Flags]
    fooled: dict[str, Flags]

    @property
    def right(self) -> int:
        """The number of images that are right without an attack."""
        return len(self.fooled["fgsm"])


def gather(
    evaluated: EvaluatedModel, index: NDArray[np.int64], epsilon: float, batch_size: int
) -> Evidence:
    """Attack the images at ``index`` within the L-infinity budget ``epsilon``, in float32."""
    parts = [
        _gather(evaluated, index[start : start + batch_size], epsilon)
        for start in range(0, len(index), batch_size)
    ]
    return Evidence(
        asked=len(index),
        guessing=parts[0].guessing,
        unsteady=sum(part.unsteady * part.asked for part in parts) / len(index),
        vanished={
            loss: np.concatenate([part.vanished[loss] for part in parts])
            for loss in parts[0].vanished
        },
        fooled={
            name: np.concatenate([part.fooled[name] for part in parts]) for name in parts[0].fooled
        },
    )


def _gather(evaluated: EvaluatedModel, index: NDArray[np.int64], epsilon: float) -> Evidence:
    whole = evaluated.batch(index)
    with full_precision(evaluated.device), torch.no_grad():
        logits, again = (evaluated.classify(whole.images) for _ in range(2))
        spread = logits.amax(1) - logits.amin(1)
        differs = (logits - again).abs().amax(1)
        unsteady = differs / spread.clamp(min=torch.finfo(spread.dtype).tiny)
        batch = whole.take((logits.argmax(1) == whole.labels).nonzero().squeeze(1))
        found = {
            "noise": _noise(evaluated, batch, epsilon),
            "fgsm": _attack(evaluated, batch, AttackSettings.fgsm(epsilon)),
            "few": _attack(evaluated, batch, _pgd(epsilon, FEW)),
            "many": _attack(evaluated, batch, _pgd(epsilon, MANY)),
            "huge": _attack(evaluated, batch, _pgd(HUGE, MANY)),
        }
        if "transfer" in evaluated.fixed_sets:
            places = batch.indices.numpy()
            images = to_float(evaluated.fixed_sets["transfer"].images[places], evaluated.device)
            found["transfer"] = ~evaluated.right(images, batch.labels)
        losses: tuple[LossName, ...] = ("cross_entropy", "margin")
        vanished = {loss: _vanished(evaluated, batch, loss) for loss in losses}
    return Evidence(
        asked=len(index),
        guessing=float(np.bincount(evaluated.split.labels).max() / len(evaluated.split)),
        unsteady=float(unsteady.nan_to_num(nan=1.0).clamp(max=1).double().mean()),
        vanished={loss: flags.cpu().numpy() for loss, flags in vanished.items()},
        fooled={name: flags.cpu().numpy() for name, flags in found.items()},
    )


def _pgd(epsilon: float, steps: int) -> AttackSettings:
    return AttackSettings(epsilon=epsilon, steps=steps, until_fooled=True)


def _attack(evaluated: EvaluatedModel, batch: ImageBatch, how: AttackSettings) -> Tensor:
    if len(batch.labels) == 0:
        return torch.zeros_like(batch.labels, dtype=torch.bool)
    return run_attack(evaluated.classify, *batch[:2], how, evaluated.seed, batch.indices).fooled


def _noise(evaluated: EvaluatedModel, batch: ImageBatch, epsilon: float) -> Tensor:
    """Return which images one of the draws from the bounds of the ball fools, (n,)."""
    fooled = torch.zeros_like(batch.labels, dtype=torch.bool)
    for draw in range(DRAWS):
        delta = torch.empty(batch.images.shape)
        for row, place in enumerate(batch.indices.tolist()):
            source = generator("cpu", "honesty", evaluated.seed, draw, place)
            shape = (1, *delta.shape[1:])
            delta[row : row + 1] = BALLS["linf"].random(shape, epsilon, source)
        noisy = (batch.images + delta.sign().to(batch.images) * epsilon).clamp(0, 1)
        fooled |= ~evaluated.right(noisy, batch.labels)
    return fooled


def _vanished(evaluated: EvaluatedModel, batch: ImageBatch, loss: LossName) -> Tensor:
    """Return which images have a gradient that is zero, next to it, or not finite, (n,)."""
    if len(batch.labels) == 0:
        return torch.zeros_like(batch.labels, dtype=torch.bool)
    gradient, _ = loss_gradient(evaluated.classify, batch.images, batch.labels, loss)
    largest = gradient.abs().amax((1, 2, 3))
    return ~(largest.isfinite() & (largest > VANISHED))
