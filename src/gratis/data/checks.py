"""Checks of tensors that a caller hands over."""

import torch
from torch import Tensor

from gratis.errors import GratisError

# Resizing may leave [0, 1] by a rounding error.
_TOLERANCE = 1e-5


def check_images(images: object) -> None:
    """Refuse what is not a float tensor (n, 3, height, width) in [0, 1]."""
    if not isinstance(images, Tensor) or images.dim() != 4 or not images.is_floating_point():
        raise GratisError(
            "images: needs a float tensor of shape (n, 3, height, width) in [0, 1], not "
            f"{_kind(images)}"
        )
    if not images.numel():
        return
    low, high = (float(value) for value in images.detach().aminmax())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # also NaN
        raise GratisError(
            f"images: needs values in [0, 1], not from {low:.3g} to {high:.3g}; divide 0..255 by "
            "255, and normalise inside the model"
        )


def check_numbers(name: str, numbers: object, count: int) -> None:
    """Refuse what is not an int64 tensor (count,): ``name`` is labels or indices."""
    valid = isinstance(numbers, Tensor) and numbers.dtype == torch.int64
    if not valid or tuple(numbers.shape) != (count,):  # type: ignore[attr-defined]
        raise GratisError(
            f"{name}: needs an int64 tensor of shape ({count},), one for each image, not "
            f"{_kind(numbers)}"
        )


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    return type(value).__name__
