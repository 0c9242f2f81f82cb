"""The suites: every metric of one model on one validation split."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from gratis.data.batches import to_float
from gratis.data.dataset import Split
from gratis.errors import GratisError
from gratis.evaluate.measurement import Measurement
from gratis.evaluate.perturbed_sets import PerturbedSets
from gratis.model import logits_of
from gratis.perturb import AttackSettings, attack, frozen
from gratis.progress import Bar, bar
from gratis.settings import Fraction, Settings


class EvaluateSettings(Settings):
    """How a model is measured.

    Attributes:
        epsilon: the L-infinity budget of every attack, in [0, 1] units of pixel value.
        pgd_steps: gradient steps of PGD.
        restarts: random starts of PGD; an image counts as fooled if one of them fools it.
        batch_size: images at a time; the verdicts do not depend on it.
        images: measure on so many images only, evenly spaced over the split; ``None`` is all.
    """

    epsilon: Annotated[Fraction, Field(ge=0, le=1)] = 8 / 255
    pgd_steps: Annotated[int, Field(ge=1)] = 20
    restarts: Annotated[int, Field(ge=1)] = 1
    batch_size: Annotated[int, Field(ge=1)] = 250
    images: Annotated[int, Field(ge=1)] | None = None


def measure(
    model: nn.Module,
    split: Split,
    sets: PerturbedSets,
    settings: EvaluateSettings,
    seed: int,
    device: torch.device,
) -> Measurement:
    """Measure a model by every metric, in float32.

    An image that is misclassified without an attack counts as fooled by every attack. FGSM and
    PGD are measured apart, so that a model that only withstands single steps shows itself.

    Args:
        model: maps images (n, 3, height, width) in [0, 1] to logits, or to an object with
            ``logits``. It is moved to ``device``; its modes and parameters are left as they were.
        split: the validation split.
        sets: its perturbed sets; metrics of a set that is absent are left out.
        settings: budget, attacks and batch size.
        seed: the seed of PGD's random starts.
        device: where to compute.

    Raises:
        GratisError: the sets belong to another split or were attacked with another epsilon.
    """
    _refuse_mismatch(split, sets, settings)
    model.to(device).to(memory_format=torch.channels_last)
    index = evenly_spaced(len(split), settings.images)
    still = {
        "clean": split.images,
        "geometric": sets.geometric,
        "fgsm_transfer": sets.fgsm_transfer,
        "transfer": sets.transfer,
    }
    attacks = {
        "fgsm": AttackSettings.fgsm(settings.epsilon),
        "pgd": AttackSettings.pgd(settings.epsilon, settings.pgd_steps, settings.restarts),
    }
    present = {metric: images for metric, images in still.items() if images is not None}
    total = len(index) * (len(present) + sum(_cost(each) for each in attacks.values()))
    with frozen(model), bar("evaluate", total) as shown:
        examiner = _Examiner(model, split.labels, index, settings.batch_size, seed, device, shown)
        correct = {metric: examiner.recognises(images) for metric, images in present.items()}
        for metric, how in attacks.items():
            correct[metric] = examiner.withstands(how, split.images, correct["clean"])
    return Measurement(index, correct)


def evenly_spaced(n: int, wanted: int | None) -> NDArray[np.int64]:
    """Return ``wanted`` indices below ``n``, in order and evenly spaced; all if ``None``.

    A split that is sorted by class keeps its classes that way.
    """
    count = n if wanted is None else min(n, wanted)
    return np.arange(count, dtype=np.int64) * n // count


def _refuse_mismatch(split: Split, sets: PerturbedSets, settings: EvaluateSettings) -> None:
    if len(split) != len(sets.labels):
        raise GratisError(
            f"the perturbed sets have {len(sets.labels)} images and the validation split "
            f"{len(split)}; build the sets again"
        )
    if sets.transfer is not None and sets.manifest.epsilon != settings.epsilon:
        raise GratisError(
            f"epsilon is {settings.epsilon:g}, but the perturbed sets were attacked with "
            f"{sets.manifest.epsilon:g}; use that, or build the sets again"
        )


def _cost(how: AttackSettings) -> int:
    """Return an attack's cost for one image, in forward passes; backward costs as much."""
    return 1 + 2 * how.steps * how.restarts


@dataclass(frozen=True)
class _Examiner:
    """One model and the images that it is asked about: those at ``index`` in a split."""

    model: nn.Module
    labels: NDArray[np.int64]
    index: NDArray[np.int64]
    batch_size: int
    seed: int
    device: torch.device
    shown: Bar

    def recognises(self, images: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return, for each image asked about, whether it is classified correctly."""
        correct = np.zeros(len(self.index), dtype=np.bool_)
        for rows in self._batches(np.arange(len(self.index))):
            pixels = to_float(images[self.index[rows]], self.device)
            correct[rows] = self._right(pixels, self._labels(rows))
            self.shown.advance(len(rows))
        return correct

    def withstands(
        self, how: AttackSettings, images: NDArray[np.uint8], clean: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Return the same under an attack, which is spared the images that are not ``clean``."""
        correct = np.zeros_like(clean)
        self.shown.advance(_cost(how) * int(np.count_nonzero(~clean)))
        for rows in self._batches(np.flatnonzero(clean)):
            index, labels = self.index[rows], self._labels(rows)
            pixels = to_float(images[index], self.device)
            indices = torch.from_numpy(index)
            adversarial = attack(self._classify, pixels, labels, how, self.seed, indices)
            correct[rows] = self._right(adversarial, labels)
            self.shown.advance(_cost(how) * len(rows))
        return correct

    def _batches(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        for start in range(0, len(rows), self.batch_size):
            yield rows[start : start + self.batch_size]

    def _labels(self, rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.labels[self.index[rows]]).to(self.device)

    def _classify(self, images: Tensor) -> Tensor:
        return logits_of(self.model(images))

    @torch.no_grad()
    def _right(self, images: Tensor, labels: Tensor) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = (self._classify(images).argmax(1) == labels).cpu().numpy()
        return right
