"""Models that expect images of another size or scale, found by their accuracy on such images."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gratis.data.batches import to_float
from gratis.data.dataset import Split
from gratis.errors import GratisError, printable
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.model import resized
from gratis.results.statistics import clearly_above_chance, mcnemar

# The accuracy that the model must gain by a change, and the p-value of all paired tests.
_GAIN, _P = 0.05, 0.05
# The accuracy after the change, in multiples of guessing: a barely trained model often gains.
_TIMES = 5

# Few, since large images take long.
_RESIZED_IMAGES = 64
# Sizes that networks are usually trained at, and multiples of the size of the images.
_USUAL, _MULTIPLES = (32, 64, 128, 224), (0.5, 2, 4)
_LARGEST, _SMALLEST = 256, 8


class _Scale(NamedTuple):
    """A normalisation by channel: (images - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


_SCALES = {
    "ImageNet's mean and std": _Scale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "[-1, 1]": _Scale((0.5,) * 3, (0.5,) * 3),
    "[0, 255]": _Scale((0.0,) * 3, (1 / 255,) * 3),
}
_STATISTICS_IMAGES = 1000


class LabelledImages(NamedTuple):
    """The model, and images (n, 3, H, W) in [0, 1] with labels that show what it expects."""

    evaluated: EvaluatedModel
    images: Tensor
    labels: Tensor
    batch_size: int

    def few(self, count: int) -> "LabelledImages":
        """Return up to ``count`` of the images, evenly spaced."""
        every = max(1, len(self.images) // count)
        kept = slice(None, every * count, every)
        return self._replace(images=self.images[kept], labels=self.labels[kept])

    def correct(self, images: Tensor) -> NDArray[np.bool_]:
        """Return whether the model classifies each image correctly after a change, (n,)."""
        pairs = zip(images.split(self.batch_size), self.labels.split(self.batch_size), strict=True)
        return torch.cat([self.evaluated.is_correct(*pair) for pair in pairs]).cpu().numpy()

    @property
    def guessing(self) -> float:
        """The accuracy of always naming the most frequent class."""
        return float(self.labels.bincount().max() / len(self.labels))

    def is_better(self, changed: NDArray[np.bool_], plain: NDArray[np.bool_], tests: int) -> bool:
        """Return whether a change of the images helps, beyond chance in one of so many tests."""
        return (
            float(changed.mean() - plain.mean()) > _GAIN
            and clearly_above_chance(float(changed.mean()), len(changed), self.guessing, _TIMES)
            and mcnemar(changed, plain) < _P / tests  # Bonferroni
        )


def refuse_other_size(given: LabelledImages, name: str) -> None:
    """Refuse a model that guesses on its images, and is right much more often on resized ones."""
    given = given.few(_RESIZED_IMAGES)
    plain = given.correct(given.images)
    if clearly_above_chance(float(plain.mean()), len(plain), given.guessing):
        return
    own = given.images.shape[-1]
    sizes = {*_USUAL, *(int(own * times) for times in _MULTIPLES)} - {own}
    for size in sorted(size for size in sizes if _SMALLEST <= size <= _LARGEST):
        try:
            changed = given.correct(resized(given.images, size))
        except torch.OutOfMemoryError:
            return
        except Exception:  # noqa: S112  # the model takes no images of this size
            continue
        if given.is_better(changed, plain, len(sizes)):
            problem = f"expects images of {size}x{size} px: {_gain(plain, changed)} if they are"
            raise GratisError(
                printable(f"{name}: {problem} resized from {own}x{own}; resize inside the model, ")
                + f"or use --input-size {size}"
            )


def refuse_other_scale(given: LabelledImages, train: Split, name: str) -> None:
    """Refuse a model that expects normalised images, or normalises twice."""
    title = printable(f"{name}:")
    scales = _SCALES | {"the data's mean and std": _statistics(train)}
    images, plain, tests = given.images, given.correct(given.images), 2 * len(scales)
    for words, scale in scales.items():
        mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in scale)
        normalised = given.correct((images - mean) / std)
        if given.is_better(normalised, plain, tests):
            raise GratisError(
                f"{title} expects normalised images: {_gain(plain, normalised)} if they are "
                f"scaled to {words}; normalise inside the model, which gets images in [0, 1]"
            )
        undone = given.correct(images * std + mean)
        if given.is_better(undone, plain, tests):
            raise GratisError(
                f"{title} normalises twice: {_gain(plain, undone)} if the scaling to {words} "
                "is undone first; normalise once"
            )


def _gain(plain: NDArray[np.bool_], changed: NDArray[np.bool_]) -> str:
    """Return both accuracies as text, to which the change is added."""
    return (
        f"its accuracy on {len(plain)} images is {100 * plain.mean():.0f}%, and "
        f"{100 * changed.mean():.0f}%"
    )


def _statistics(split: Split) -> _Scale:
    """Return the mean and std of some images of a split, by channel."""
    count = min(_STATISTICS_IMAGES, len(split))
    some = split.images[np.arange(count) * len(split) // count]
    pixels = to_float(some, "cpu").double()
    # A constant channel cannot be divided by its std.
    std = pixels.std((0, 2, 3), correction=0).clamp(min=1e-3)
    return _Scale(tuple(pixels.mean((0, 2, 3)).tolist()), tuple(std.tolist()))
