"""Models that expect images of another scale than [0, 1], found by their accuracy on it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gratis.data.batches import to_float
from gratis.data.dataset import Split
from gratis.errors import GratisError, printable
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.input_changes import correct_on, gain_of, is_better

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
    """Refuse a model that is right much more often if its images are scaled otherwise."""

    def correct(changed: Tensor) -> NDArray[np.bool_]:
        return correct_on(evaluated, changed, labels, batch_size)

    title = printable(f"{name}:")
    scales = _COMMON | {"the data's mean and std": _statistics(train)}
    plain, tests = correct(images), 2 * len(scales)
    guessing = float(labels.bincount().max() / len(labels))
    for words, scale in scales.items():
        mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in scale)
        normalised = correct((images - mean) / std)
        if is_better(normalised, plain, guessing, tests):
            raise GratisError(
                f"{title} expects normalised images: {gain_of(plain, normalised)} if they are "
                f"scaled to {words}; normalise inside the model, which gets images in [0, 1]",
            )
        undone = correct(images * std + mean)
        if is_better(undone, plain, guessing, tests):
            raise GratisError(
                f"{title} normalises twice: {gain_of(plain, undone)} if the scaling to {words} "
                "is undone first; normalise once",
            )


def _statistics(split: Split) -> _Scale:
    """Return the mean and std of some images of a split, by channel."""
    count = min(_STATISTICS_IMAGES, len(split))
    some = split.images[np.arange(count) * len(split) // count]
    pixels = to_float(some, "cpu").double()
    # A constant channel cannot be divided by its std.
    std = pixels.std((0, 2, 3), correction=0).clamp(min=1e-3)
    return _Scale(tuple(pixels.mean((0, 2, 3)).tolist()), tuple(std.tolist()))
