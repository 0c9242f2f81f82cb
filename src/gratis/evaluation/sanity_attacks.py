"""The attacks that the sanity checks compare: a few, weak and strong, on the same few images."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gratis.attacks import BALLS, AttackSettings, is_correct, run_attack
from gratis.data.batches import to_float
from gratis.evaluation.directional_derivatives import Changes, loss_changes
from gratis.evaluation.evaluated_model import EvaluatedModel, ImageBatch
from gratis.evaluation.vanishing_gradients import vanished_gradients
from gratis.progress import Bar, bar
from gratis.seeds import generator
from gratis.torch_state import full_precision

Flags = NDArray[np.bool_]

# The steps of the two PGD attacks that are compared.
FEW, MANY = 5, 50
# Draws of random noise; an image is fooled if one of them fools the model.
DRAWS = 10
# Half of the pixel range: within it every image can be turned into a grey one.
HUGE = 0.5
# The attacks and the gradients, for the bar.
_STAGES = 5


@dataclass(frozen=True)
class SanityAttacks:
    """What attacks do to those of some images that are correct without an attack.

    Attributes:
        images: the number of images, correct or not.
        guessing: the accuracy on the split of always naming its most frequent class.
        unsteady: how much the logits of an image differ between two passes, as a share of their
            range, on average; in [0, 1].
        vanished: whether gradients of each image are too small to follow, (n,), of each loss and of
            the logits.
        fooled: by attack, whether it fools the model on each image, (n,): ``noise``, ``fgsm``,
            ``few`` and ``many`` steps of PGD within epsilon, ``huge`` (PGD within ``HUGE``), and
            ``transfer`` where there is such a set.
        changes: what the loss of each image does along random directions and its gradient.
    """

    images: int
    guessing: float
    unsteady: float
    vanished: dict[str, Flags]
    fooled: dict[str, Flags]
    changes: Changes

    @property
    def correct(self) -> int:
        """The number of images that are correct without an attack."""
        return len(self.fooled["fgsm"])


def run_sanity_attacks(
    evaluated: EvaluatedModel, index: NDArray[np.int64], epsilon: float, batch_size: int
) -> SanityAttacks:
    """Attack the images at ``index`` within an L-infinity epsilon, in float32."""
    starts = range(0, len(index), batch_size)
    with bar("sanity checks", _STAGES * len(starts)) as shown:
        batches = [
            _of_batch(evaluated, index[start : start + batch_size], epsilon, shown)
            for start in starts
        ]
    first = batches[0]
    return SanityAttacks(
        images=len(index),
        guessing=first.guessing,
        unsteady=sum(batch.unsteady * batch.images for batch in batches) / len(index),
        vanished={
            name: np.concatenate([batch.vanished[name] for batch in batches])
            for name in first.vanished
        },
        fooled={
            name: np.concatenate([batch.fooled[name] for batch in batches]) for name in first.fooled
        },
        changes=np.concatenate([batch.changes for batch in batches], axis=2),
    )


def _of_batch(
    evaluated: EvaluatedModel, index: NDArray[np.int64], epsilon: float, shown: Bar
) -> SanityAttacks:
    whole = evaluated.batch_at(index)
    with full_precision(evaluated.device), torch.no_grad():
        logits, again = (evaluated.classify(whole.images) for _ in range(2))
        spread = logits.amax(1) - logits.amin(1)
        differs = (logits - again).abs().amax(1)
        unsteady = differs / spread.clamp(min=torch.finfo(spread.dtype).tiny)
        batch = whole.take(is_correct(logits, whole.labels).nonzero().squeeze(1))
        fooled = {"noise": _noise(evaluated, batch, epsilon)}
        attacks = {
            "fgsm": AttackSettings.fgsm(epsilon),
            "few": _pgd(epsilon, FEW),
            "many": _pgd(epsilon, MANY),
            "huge": _pgd(HUGE, MANY),
        }
        for name, settings in attacks.items():
            shown.advance(1, name)
            fooled[name] = _attack(evaluated, batch, settings)
        if "transfer" in evaluated.fixed_sets:
            transfer = evaluated.fixed_sets["transfer"].images[batch.indices.numpy()]
            fooled["transfer"] = ~evaluated.is_correct(
                to_float(transfer, evaluated.device), batch.labels
            )
        shown.advance(1, "gradients")
        changes = loss_changes(evaluated, batch)
        no_gradient = vanished_gradients(evaluated, batch)
    return SanityAttacks(
        images=len(index),
        guessing=float(np.bincount(evaluated.split.labels).max() / len(evaluated.split)),
        unsteady=float(unsteady.nan_to_num(nan=1.0).clamp(max=1).double().mean()),
        vanished=no_gradient,
        fooled={name: flags.cpu().numpy() for name, flags in fooled.items()},
        changes=changes,
    )


def _pgd(epsilon: float, steps: int) -> AttackSettings:
    return AttackSettings(epsilon=epsilon, steps=steps, until_fooled=True)


def _attack(evaluated: EvaluatedModel, batch: ImageBatch, settings: AttackSettings) -> Tensor:
    if len(batch.labels) == 0:
        return torch.zeros_like(batch.labels, dtype=torch.bool)
    found = run_attack(evaluated.classify, *batch[:2], settings, evaluated.seed, batch.indices)
    return found.fooled


def _noise(evaluated: EvaluatedModel, batch: ImageBatch, epsilon: float) -> Tensor:
    """Return whether random signs times epsilon fool the model in one of the draws, (n,)."""
    fooled = torch.zeros_like(batch.labels, dtype=torch.bool)
    for draw in range(DRAWS):
        delta = torch.empty(batch.images.shape, device="cpu")
        for row, index in enumerate(batch.indices.tolist()):
            source = generator("cpu", "sanity checks", evaluated.seed, draw, index)
            shape = (1, *delta.shape[1:])
            delta[row : row + 1] = BALLS["linf"].random(shape, epsilon, source)
        noisy = (batch.images + delta.sign().to(batch.images) * epsilon).clamp(0, 1)
        fooled |= ~evaluated.is_correct(noisy, batch.labels)
    return fooled
