"""Decode the images of a split into one array on disk, with all cores."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import MofNCompleteColumn

from gratis.data.workers import at_work
from gratis.errors import GratisError, file_error
from gratis.progress import bar

_CHUNK = 64
# Fewer are not worth starting processes for.
_MANY = 1000
_REMEDY = (
    "restore it from the original data, remove it, or leave out what is broken with "
    "--skip-broken-images"
)

Pixels = NDArray[np.uint8]


class BrokenImage(GratisError):
    """The image file ``path`` cannot be decoded, for ``reason``."""

    def __init__(self, path: Path, reason: str) -> None:
        """Say so, and what to do about it."""
        super().__init__(str(file_error(path, f"is not a readable image ({reason})", _REMEDY)))
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[type["BrokenImage"], tuple[Path, str]]:
        """Return how to make it anew, in another process."""
        return type(self), (self.path, self.reason)


# The broken images of a split by their position in it.
Broken = dict[int, BrokenImage]


@dataclass(frozen=True)
class Undecoded:
    """A split before decoding.

    ``labels`` is int64 of shape (n,); ``read(i)`` gives image i as uint8 (size, size, 3) or raises
    :class:`BrokenImage`, and is called from several processes or threads.
    """

    labels: NDArray[np.int64]
    read: Callable[[int], Pixels]


def flush_to_disk(stream: IO[Any]) -> None:
    """Make sure that what was written outlasts a loss of power."""
    stream.flush()
    os.fsync(stream.fileno())


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write ``array`` in NumPy's file format, to the disk itself.

    ``np.save`` does not notice that the disk is full where the array is small.
    """
    with path.open("wb") as stream:
        _write_header(stream, array.dtype, array.shape)
        stream.write(np.ascontiguousarray(array).data)
        flush_to_disk(stream)


def write_images(path: Path, split: Undecoded, size: int, skip: bool, title: str) -> Broken:
    """Decode ``split`` into one uint8 array (n, size, size, 3) in NumPy's file format.

    Returns:
        The broken images, which the array lacks; empty unless ``skip``.

    Raises:
        BrokenImage: an image is broken, and not to be skipped.
        GratisError: a process that decoded was killed.
    """
    broken: Broken = {}
    total = len(split.labels)
    starts = range(0, total, _CHUNK)
    # Written as a stream, not through a memory map: a full disk is then an error, not a crash.
    with (
        # Before the bar, whose thread may hold a lock.
        at_work(partial(_decode, split, size, skip), starts, total >= _MANY) as decoded,
        path.open("wb") as stream,
    ):
        _write_header(stream, np.dtype(np.uint8), (total, size, size, 3))
        with bar(title, total, MofNCompleteColumn()) as shown:
            for pixels, missing in decoded:
                stream.write(pixels.data)
                broken |= missing
                shown.advance(len(pixels) + len(missing))
        stream.seek(0)
        # As long as the first one: the format leaves room for the number of rows to change.
        _write_header(stream, np.dtype(np.uint8), (total - len(broken), size, size, 3))
        flush_to_disk(stream)
    return broken


def _write_header(stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)


def _decode(split: Undecoded, size: int, skip: bool, start: int) -> tuple[Pixels, Broken]:
    """Return some images from ``start`` on, (n, size, size, 3), and those that are broken."""
    pixels, broken = [np.empty((0, size, size, 3), dtype=np.uint8)], {}
    for index in range(start, min(start + _CHUNK, len(split.labels))):
        try:
            pixels.append(split.read(index)[None])
        except BrokenImage as error:
            if not skip:
                raise
            broken[index] = error
    return np.concatenate(pixels), broken
