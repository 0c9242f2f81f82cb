"""A data set from images that are in memory already: tensors, arrays, loaders."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from gratis.data.dataset import Dataset, Split
from gratis.digests import digest
from gratis.errors import GratisError, printable

_BATCH = 256
# An 8-bit image in floats is within this of a whole pixel value.
_ROUNDING = 1e-3


def split_from_arrays(images: Any, labels: Any) -> Split:
    """Return images and labels as a split.

    Args:
        images: float (n, 3, height, width) in [0, 1], or uint8 (n, 3, height, width) or
            (n, height, width, 3); a tensor or an array. Floats are rounded to 8 bits.
        labels: whole numbers from 0 on, (n,).
    """
    pixels, numbers = _as_array(images), _labels(_as_array(labels))
    if pixels.ndim != 4 or len(pixels) == 0:
        raise GratisError(
            f"images: needs shape (n, 3, height, width) with n > 0, not {_shape(pixels)}"
        )
    if len(numbers) != len(pixels):
        raise GratisError(f"labels: there are {len(numbers)} of them and {len(pixels)} images")
    return Split(_eight_bit(pixels), numbers)


def split_from_batches(batches: Iterable[Any]) -> Split:
    """Return all batches of a loader, or all items of a torch data set, as a split.

    Args:
        batches: gives (images, labels), as :func:`split_from_arrays` takes them; a torch data set
            gives one image and its label at a time.
    """
    loader = batches
    if isinstance(batches, TorchDataset):
        # With a generator of its own: a loader draws a seed even where it does not shuffle.
        loader = DataLoader(batches, _BATCH, generator=torch.Generator("cpu"))
    splits = []
    try:
        for item in loader:
            images, labels = item
            splits.append(split_from_arrays(images, labels))
    except (TypeError, ValueError, RuntimeError) as error:
        problem = printable(str(error).partition("\n")[0])
        raise GratisError(
            f"data: does not give (images, labels) as tensors ({problem}); convert images with "
            "torchvision.transforms.v2.ToImage, or pass images and labels"
        ) from error
    if not splits:
        raise GratisError("data: the loader gives no images")
    shapes = {split.images.shape[1:] for split in splits}
    if len(shapes) > 1:
        raise GratisError("data: images differ in size; resize them to one size")
    return Split(
        np.concatenate([split.images for split in splits]),
        np.concatenate([split.labels for split in splits]),
    )


def dataset_from_split(split: Split, classes: int, name: str = "images") -> Dataset:
    """Return a data set whose training and validation images are both ``split``."""
    if (largest := int(split.labels.max())) >= classes:
        raise GratisError(f"labels: {largest} is not below the number of classes, {classes}")
    names = tuple(map(str, range(classes)))
    return Dataset(name, split, split, names, digest([split.images, split.labels]))


def _as_array(values: Any) -> NDArray[Any]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        # NumPy has no bfloat16.
        plain: NDArray[Any] = (values.float() if values.is_floating_point() else values).numpy()
        return plain
    if isinstance(values, list | tuple) and values and isinstance(values[0], torch.Tensor):
        return _as_array(torch.stack(list(values)))
    like: ArrayLike = values
    return np.asarray(like)


def _labels(labels: NDArray[Any]) -> NDArray[np.int64]:
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise GratisError(
            f"labels: needs whole numbers of shape (n,), not {labels.dtype} {_shape(labels)}"
        )
    if len(labels) and int(labels.min()) < 0:
        raise GratisError(f"labels: {int(labels.min())} is below 0")
    return labels.astype(np.int64)


def _eight_bit(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return images as uint8 (n, height, width, 3)."""
    if pixels.dtype == np.uint8:
        last = pixels.shape[3] == 3 and pixels.shape[1] != 3
        return np.ascontiguousarray(pixels if last else _channels_last(pixels))
    if not np.issubdtype(pixels.dtype, np.floating):
        raise GratisError(f"images: needs floats in [0, 1] or uint8, not {pixels.dtype}")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # also NaN
        raise GratisError(
            f"images: needs values in [0, 1], not {low:.3g} to {high:.3g}; leave out "
            "normalisation, and normalise inside the model"
        )
    levels = np.rint(_channels_last(pixels) * 255).clip(0, 255)
    return np.ascontiguousarray(levels.astype(np.uint8))


def _channels_last(pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.shape[1] != 3:
        raise GratisError(
            f"images: needs three channels, (n, 3, height, width), not {_shape(pixels)}; repeat "
            "the channel of grey images three times"
        )
    return pixels.transpose(0, 2, 3, 1)


def _shape(array: NDArray[Any]) -> str:
    return f"({', '.join(map(str, array.shape))})"
