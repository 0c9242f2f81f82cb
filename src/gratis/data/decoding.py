"""Decode the images of a split into one array on disk, on all cores."""

import math
import mmap
import os
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import MofNCompleteColumn

from gratis.data.raw import BrokenImage, Pixels, RawSplit
from gratis.data.workers import cores, parallel_map
from gratis.progress import bar

# The number of images that a worker decodes at a time.
_CHUNK = 64
# From this number of images on, processes decode them, since threads mostly wait for the
# interpreter's lock. For fewer images, starting processes takes longer than it saves.
_MANY = 1000

# The broken images of a split, by their index in it.
Broken = dict[int, BrokenImage]


def flush_to_disk(stream: IO[Any]) -> None:
    """Flush what was written to the disk itself, so that it survives a power failure."""
    stream.flush()
    os.fsync(stream.fileno())


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write ``array`` to ``path`` in NumPy's file format and flush it to disk.

    Unlike ``np.save``, it raises an ``OSError`` on a full disk even if the array is small.
    """
    with path.open("wb") as stream:
        _write_header(stream, array.dtype, array.shape)
        stream.write(np.ascontiguousarray(array).data)
        flush_to_disk(stream)


def write_images(path: Path, split: RawSplit, size: int, skip: bool, title: str) -> Broken:
    """Decode ``split`` into one uint8 array (n, size, size, 3) in NumPy's file format.

    Returns:
        The broken images, which the array lacks; empty unless ``skip``.

    Raises:
        BrokenImage: an image is broken, and ``skip`` is false.
        GratisError: a process that decoded images was killed.
    """
    broken: Broken = {}
    total = len(split.labels)
    chunks = -(-total // _CHUNK)
    buffers = _shared_buffers(min(2 * cores() + 1, chunks), size)
    decode = partial(_decode, split, skip, buffers)
    # Written as a stream: through a memory map, a full disk would kill the process.
    with (
        # Started before the bar, whose thread may hold a lock at the time of a fork.
        parallel_map(decode, chunks, len(buffers), total >= _MANY) as decoded,
        path.open("wb") as stream,
        bar(title, total, MofNCompleteColumn()) as progress_bar,
    ):
        _write_header(stream, np.dtype(np.uint8), (total, size, size, 3))
        for chunk, (count, missing) in enumerate(decoded):
            stream.write(buffers[chunk % len(buffers), :count].data)
            broken |= missing
            progress_bar.advance(count + len(missing))
        stream.seek(0)
        # Of the same length: the format leaves space for the number of rows to change.
        _write_header(stream, np.dtype(np.uint8), (total - len(broken), size, size, 3))
        flush_to_disk(stream)
    return broken


def _shared_buffers(count: int, size: int) -> Pixels:
    """Return memory for ``count`` chunks that forked processes share: (count, _CHUNK, ...)."""
    shape = (max(count, 1), _CHUNK, size, size, 3)
    try:
        memory = mmap.mmap(-1, math.prod(shape))
    except (OSError, OverflowError) as error:
        raise MemoryError(str(error)) from error
    return np.frombuffer(memory, dtype=np.uint8).reshape(shape)


def _write_header(stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)


def _decode(split: RawSplit, skip: bool, buffers: Pixels, chunk: int) -> tuple[int, Broken]:
    """Decode a chunk into its buffer; return the number of its images, and the broken ones."""
    count, broken = 0, {}
    for index in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, len(split.labels))):
        try:
            buffers[chunk % len(buffers), count] = split.read(index)
            count += 1
        except BrokenImage as error:
            if not skip:
                raise
            broken[index] = error
    return count, broken
