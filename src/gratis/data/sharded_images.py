"""Images in several arrays, indexed as one: a store may consist of many files."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gratis.errors import GratisError

Pixels: TypeAlias = NDArray[np.uint8]


class ShardedImages:
    """Arrays of images, uint8 (n_k, height, width, 3), as one array (n, height, width, 3).

    It is indexed along the first axis, by a number, a slice, or an array of numbers or bools; the
    result is an array in memory, and no more images are read than it has.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, parts: Sequence[Pixels]) -> None:
        """Take the arrays, usually memory-mapped files.

        Raises:
            GratisError: there are none, or images differ in type or size.
        """
        if len({(part.dtype, part.shape[1:]) for part in parts}) != 1:
            raise GratisError("images in several arrays differ in type or size")
        self.parts = tuple(parts)
        # Indexing one image of a memory map takes several times as long.
        self._plain = [np.asarray(part) for part in parts]
        self._starts = np.cumsum([0, *map(len, parts)])
        self.shape: tuple[Any, ...] = (int(self._starts[-1]), *parts[0].shape[1:])

    def __len__(self) -> int:
        """Return the number of images."""
        return int(self.shape[0])

    @property
    def nbytes(self) -> int:
        """The number of bytes of all images."""
        return sum(part.nbytes for part in self.parts)

    def __getitem__(self, index: Any) -> Pixels:
        """Return the image or the images at ``index``."""
        rows = np.arange(len(self))[index]
        if rows.ndim == 0:
            image: Pixels = self.take(rows[None])[0]
            return image
        return self.take(rows)

    def take(self, rows: NDArray[np.integer[Any]]) -> Pixels:
        """Return the images at ``rows``, whole numbers (m,) from 0 on."""
        taken = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        parts = np.searchsorted(self._starts, rows, side="right") - 1
        places = rows - self._starts[parts]
        for row, (part, place) in enumerate(zip(parts.tolist(), places.tolist(), strict=True)):
            taken[row] = self._plain[part][place]
        return taken

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all images as one array in memory."""
        return np.concatenate(self._plain).astype(dtype or self.dtype, copy=False)


Images: TypeAlias = NDArray[np.uint8] | ShardedImages


def images_at(images: Images, rows: NDArray[np.int64]) -> Pixels:
    """Return the images at ``rows`` as an array in memory."""
    if isinstance(images, ShardedImages):
        return images.take(rows)
    # Faster than indexing with an array: it copies whole images.
    return np.asarray(images).take(rows, axis=0)
