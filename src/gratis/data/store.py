"""The store: every image decoded once into one uint8 array on disk, memory-mapped from then on."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import MofNCompleteColumn

from gratis.data.dataset import Dataset, Split, refuse_degenerate
from gratis.data.folders import CACHE_REMEDY, cache_folder
from gratis.errors import GratisError, file_error
from gratis.files import appearing, read_json, write_json
from gratis.progress import bar

# Part of every key: a change of the store's layout, or of how images are decoded, raises it.
_FORMAT = 1
_CHUNK = 64

# A file that was listed: its path, its size in bytes, its time of change in nanoseconds.
Stamp = tuple[str, int, int]


@dataclass(frozen=True)
class Undecoded:
    """A split before decoding.

    ``labels`` is int64 of shape (n,); ``read(i)`` gives image i as uint8 (size, size, 3), and is
    called from several threads.
    """

    labels: NDArray[np.int64]
    read: Callable[[int], NDArray[np.uint8]]


@dataclass(frozen=True)
class Content:
    """All that the store's arrays depend on, and how to make them; ``root`` is resolved.

    Raises:
        GratisError: there are fewer than two classes, or a split has no images.
    """

    name: str
    root: Path
    size: int
    classes: tuple[str, ...]
    files: list[Stamp]
    train: Undecoded
    validation: Undecoded

    def __post_init__(self) -> None:
        """Refuse what nothing can be learned from before it is decoded."""
        counts = len(self.train.labels), len(self.validation.labels)
        refuse_degenerate(self.root, len(self.classes), *counts)

    def key(self) -> str:
        """Return a hash of what will be read: any changed file gives another key."""
        where = str(self.root)
        text = json.dumps([_FORMAT, self.name, where, self.size, self.classes, self.files])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def stamp(path: Path) -> Stamp:
    """Return a file's path, size and time of change.

    Raises:
        GratisError: the file is missing.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise file_error(path, "cannot be read", "restore it from the original data") from error
    return str(path), status.st_size, status.st_mtime_ns


def fingerprint(*splits: Split) -> str:
    """Return a hash of the shape, every pixel and every label of ``splits``."""
    digest = hashlib.blake2b(digest_size=16)
    for split in splits:
        digest.update(repr(split.images.shape).encode())
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(split.labels.astype("<i8").data)
    return digest.hexdigest()


def stored(content: Content) -> Dataset:
    """Return ``content`` as memory-mapped arrays, decoding it where no earlier call has.

    Raises:
        GratisError: an image is broken, the cache folder cannot be written, or a store in it is
            damaged.
    """
    folder = cache_folder() / "decoded" / f"{content.name}-{content.size}px-{content.key()}"
    if not folder.is_dir():
        with appearing(folder, CACHE_REMEDY) as temporary:
            _fill(temporary, content)
    return _open(folder)


def _fill(folder: Path, content: Content) -> None:
    for name, split in (("train", content.train), ("validation", content.validation)):
        np.save(folder / f"{name}-labels.npy", split.labels)
        shape = (len(split.labels), content.size, content.size, 3)
        _write_images(folder / f"{name}-images.npy", split, shape, f"Decoding {name} images")
    description = {
        "name": content.name,
        "classes": content.classes,
        "fingerprint": fingerprint(_split(folder, "train"), _split(folder, "validation")),
    }
    write_json(folder / "dataset.json", description)


def _write_images(path: Path, split: Undecoded, shape: tuple[int, ...], title: str) -> None:
    # Written as a stream, not through a memory map: a full disk is then an error, not a crash.
    with path.open("wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        with bar(title, shape[0], MofNCompleteColumn()) as shown:
            for pixels in _decoded(split):
                stream.write(pixels.data)
                shown.advance(len(pixels))
        stream.flush()
        os.fsync(stream.fileno())


def _decoded(split: Undecoded) -> Iterator[NDArray[np.uint8]]:
    """Yield the images in order, in chunks (n, size, size, 3), decoded by all cores."""

    def decode(start: int) -> NDArray[np.uint8]:
        stop = min(start + _CHUNK, len(split.labels))
        return np.stack([split.read(index) for index in range(start, stop)])

    # Threads suffice: decoding releases the interpreter's lock, and there is nothing to pickle.
    workers = os.cpu_count() or 1
    pool = ThreadPoolExecutor(workers)
    ahead: deque[Future[NDArray[np.uint8]]] = deque()
    try:
        for start in range(0, len(split.labels), _CHUNK):
            ahead.append(pool.submit(decode, start))
            # Bounded, so that a slow disk does not fill the memory.
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _open(folder: Path) -> Dataset:
    try:
        train, validation = _split(folder, "train"), _split(folder, "validation")
        about = read_json(folder / "dataset.json")
        name, classes, seal = about["name"], tuple(about["classes"]), about["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, EOFError, GratisError) as error:
        raise file_error(folder, "is damaged", "delete this folder and run again") from error
    return Dataset(name, train, validation, classes, seal)


def _split(folder: Path, name: str) -> Split:
    images = np.load(folder / f"{name}-images.npy", mmap_mode="r")
    labels = np.load(folder / f"{name}-labels.npy")
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images but {len(labels)} labels")
    return Split(images, labels)
