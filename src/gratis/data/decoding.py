"""Decode the images of a split into arrays on disk, on all cores."""

import math
import mmap
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import MofNCompleteColumn

from gratis.data.raw import BrokenImage, Pixels, RawSplit
from gratis.data.shard_files import CHUNK, Broken, Shard
from gratis.data.workers import cores, parallel_map
from gratis.files import flush_to_disk
from gratis.progress import Bar, bar

# From this number of images on, processes decode them, since threads mostly wait for the
# interpreter's lock. For fewer images, starting processes takes longer than it saves.
_MANY = 1000


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write ``array`` to ``path`` in NumPy's file format and flush it to disk.

    Unlike ``np.save``, it raises an ``OSError`` on a full disk even if the array is small.
    """
    with path.open("wb") as stream:
        _write_header(stream, array.dtype, array.shape)
        stream.write(np.ascontiguousarray(array).data)
        flush_to_disk(stream)


def write_images(
    split: RawSplit,
    shards: Sequence[Shard],
    size: int,
    skip: bool,
    title: str,
    finished: Callable[[Shard, Broken], None],
) -> None:
    """Decode the images of ``shards``, each into a uint8 array (n, size, size, 3) in a file.

    Args:
        split: the images.
        shards: the files, in NumPy's format, with whole chunks of images but for the last.
        size: height and width, in pixels.
        skip: whether to leave out broken images.
        title: that of the progress bar.
        finished: called for each shard once it is written, with the broken images that it lacks.

    Raises:
        BrokenImage: an image is broken, and ``skip`` is false.
        GratisError: a process that decoded images was killed.
    """
    if not shards:
        return
    chunks = [rows for shard in shards for rows in _chunks(shard.rows)]
    total = sum(len(shard.rows) for shard in shards)
    buffers = _shared_buffers(min(2 * cores() + 1, len(chunks)), size)
    decode = partial(_decode, split, chunks, skip, buffers)
    with (
        # Started before the bar, whose thread may hold a lock at the time of a fork.
        parallel_map(decode, len(chunks), len(buffers), total >= _MANY) as decoded,
        bar(title, total, MofNCompleteColumn()) as progress_bar,
    ):
        # The pixels of a chunk are in its buffer until the next result is asked for.
        pixels = (
            (buffers[n % len(buffers), :count], missing)
            for n, (count, missing) in enumerate(decoded)
        )
        for shard in shards:
            finished(shard, _write_shard(shard, size, pixels, progress_bar))


def _chunks(rows: range) -> list[range]:
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]


def _write_shard(
    shard: Shard, size: int, pixels: Iterator[tuple[Pixels, Broken]], progress_bar: Bar
) -> Broken:
    """Write the next chunks of ``pixels`` as a shard; return the broken images among them."""
    broken: Broken = {}
    # Written as a stream: through a memory map, a full disk would kill the process.
    with shard.writing() as stream:
        _write_header(stream, np.dtype(np.uint8), (len(shard.rows), size, size, 3))
        for _ in _chunks(shard.rows):
            images, missing = next(pixels)
            stream.write(images.data)
            broken |= missing
            progress_bar.advance(len(images) + len(missing))
        stream.seek(0)
        # Of the same length: the format leaves space for the number of rows to change.
        _write_header(stream, np.dtype(np.uint8), (len(shard.rows) - len(broken), size, size, 3))
    return broken


def _shared_buffers(count: int, size: int) -> Pixels:
    """Return memory for ``count`` chunks that forked processes share: (count, CHUNK, ...)."""
    shape = (max(count, 1), CHUNK, size, size, 3)
    try:
        memory = mmap.mmap(-1, math.prod(shape))
    except (OSError, OverflowError) as error:
        raise MemoryError(str(error)) from error
    return np.frombuffer(memory, dtype=np.uint8).reshape(shape)


def _write_header(stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)


def _decode(
    split: RawSplit, chunks: Sequence[range], skip: bool, buffers: Pixels, chunk: int
) -> tuple[int, Broken]:
    """Decode a chunk into its buffer; return the number of its images, and the broken ones."""
    count, broken = 0, {}
    for index in chunks[chunk]:
        try:
            buffers[chunk % len(buffers), count] = split.read(index)
            count += 1
        except BrokenImage as error:
            if not skip:
                raise
            broken[index] = error
    return count, broken
