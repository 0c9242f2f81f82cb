"""Decode the images of a split into one array on disk, with all cores."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import MofNCompleteColumn

from gratis.data.processes import asked, processes, worth_processes
from gratis.errors import GratisError, file_error
from gratis.progress import bar

_CHUNK = 64
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
    """
    broken: Broken = {}
    total = len(split.labels)
    # Written as a stream, not through a memory map: a full disk is then an error, not a crash.
    with path.open("wb") as stream:
        _write_header(stream, np.dtype(np.uint8), (total, size, size, 3))
        with bar(title, total, MofNCompleteColumn()) as shown:
            for pixels, missing in _decoded(split, size, skip):
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


def _decoded(split: Undecoded, size: int, skip: bool) -> Iterator[tuple[Pixels, Broken]]:
    """Yield the images in order, some (n, size, size, 3) at a time, with those that are broken."""
    workers = os.cpu_count() or 1
    decode: Callable[[int], tuple[Pixels, Broken]] = partial(_decode, split, size, skip)
    pool: Executor
    if worth_processes(len(split.labels)):
        pool, decode = processes(workers, decode), asked
    else:
        pool = ThreadPoolExecutor(workers)
    ahead: deque[Future[tuple[Pixels, Broken]]] = deque()
    try:
        for start in range(0, len(split.labels), _CHUNK):
            ahead.append(pool.submit(decode, start))
            # Bounded, so that a slow disk does not fill the memory.
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    except BrokenExecutor as error:
        problem = "a process that decoded images was killed; is there memory enough? Run again"
        raise GratisError(problem) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(split: Undecoded, size: int, skip: bool, start: int) -> tuple[Pixels, Broken]:
    pixels, broken = [np.empty((0, size, size, 3), dtype=np.uint8)], {}
    for index in range(start, min(start + _CHUNK, len(split.labels))):
        try:
            pixels.append(split.read(index)[None])
        except BrokenImage as error:
            if not skip:
                raise
            broken[index] = error
    return np.concatenate(pixels), broken
