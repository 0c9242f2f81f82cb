"""Models that expect images of another scale than [0, 1], found by their accuracy on it."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gratis.data.batches import to_float
from gratis.data.dataset import Split
from gratis.errors import GratisError, printable
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.results.statistics import clearly_above_chance, mcnemar

# The accuracy that the model must gain by another scale, and the p-value of all paired tests.
_GAIN, _P = 0.05, 0.05
# The accuracy on the other scale, in multiples of guessing: a barely trained model often gains.
_TIMES = 5
_STATISTICS_IMAGES = 1000


class _Scale(NamedTuple):
    """A normalisation by channel: (images - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


_COMMON = {
    "ImageNet's mean and std": _Scale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "[-1, 1]": _Scale((0.5,) * 3, (0.5,) * 3),
    "[0, 255]": _Scale((0.0,) * 3, (1 / 255,) * 3),
}


def refuse_other_scale(
    evaluated: EvaluatedModel,
    images: Tensor,
    labels: Tensor,
    train: Split,
    name: str,
    batch_size: int,
) -> None:
    """Refuse a model that is right much more often if its images are scaled otherwise.

    Args:
        evaluated: the model.
        images: (n, 3, H, W) in [0, 1].
        labels: (n,) class numbers.
        train: the training images, for their mean and std.
        name: the model's name, for messages.
        batch_size: images at a time.

    Raises:
        GratisError: the model expects normalised images, or normalises twice.
    """

    def correct(changed: Tensor) -> NDArray[np.bool_]:
        pairs = zip(changed.split(batch_size), labels.split(batch_size), strict=True)
        return torch.cat([evaluated.is_correct(*pair) for pair in pairs]).cpu().numpy()

    title = printable(f"{name}:")
    scales = _COMMON | {"the data's mean and std": _statistics(train)}
    plain, tests = correct(images), 2 * len(scales)
    guessing = float(labels.bincount().max() / len(labels))
    for words, scale in scales.items():
        mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in scale)
        normalised = correct((images - mean) / std)
        if _better(normalised, plain, guessing, tests):
            raise GratisError(
                f"{title} expects normalised images: {_gain(plain, normalised)} if they are scaled "
                f"to {words}; normalise inside the model, which gets images in [0, 1]",
            )
        undone = correct(images * std + mean)
        if _better(undone, plain, guessing, tests):
            raise GratisError(
                f"{title} normalises twice: {_gain(plain, undone)} if the scaling to {words} "
                "is undone first; normalise once",
            )


def _better(
    changed: NDArray[np.bool_], plain: NDArray[np.bool_], guessing: float, tests: int
) -> bool:
    """Return whether a change of scale helps, beyond chance in one of so many ``tests``."""
    return (
        float(changed.mean() - plain.mean()) > _GAIN
        and clearly_above_chance(float(changed.mean()), len(changed), guessing, _TIMES)
        and mcnemar(changed, plain) < _P / tests  # Bonferroni
    )


def _gain(plain: NDArray[np.bool_], changed: NDArray[np.bool_]) -> str:
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
