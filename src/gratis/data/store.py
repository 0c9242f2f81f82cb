"""The store: every image decoded once into one uint8 array on disk, memory-mapped from then on.

A store is hashed whenever it is opened (about a second a GiB) and made anew where it is damaged.
One of more than 4 GiB is hashed only when it is made, and by ``gratis data``.
"""

import hashlib
import json
import logging
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gratis.data.dataset import Dataset, Split, few, refuse_degenerate
from gratis.data.decoding import Broken, Undecoded, flush_to_disk, write_array, write_images
from gratis.data.folders import CACHE_REMEDY, cache_folder, in_turn
from gratis.errors import file_error, printable
from gratis.files import appearing

logger = logging.getLogger(__name__)

# Part of every key: a change of the store's layout, or of how images are decoded, raises it.
_FORMAT = 1
_HASHED_WHEN_OPENED = 4 * 2**30

# A file that was listed: its path, its size in bytes, its time of change in nanoseconds.
Stamp = tuple[str, int, int]


@dataclass(frozen=True)
class Content:
    """All that the store's arrays depend on, and how to make them; ``root`` is resolved.

    With ``skip_broken`` the images that cannot be decoded are left out.

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
    skip_broken: bool = False

    def __post_init__(self) -> None:
        """Refuse what nothing can be learned from before it is decoded."""
        counts = len(self.train.labels), len(self.validation.labels)
        refuse_degenerate(self.root, len(self.classes), *counts)

    def key(self) -> str:
        """Return a hash of what will be read: any changed file gives another key."""
        what = [_FORMAT, self.name, str(self.root), self.size, self.classes, self.files]
        text = json.dumps([*what, "skip broken"] if self.skip_broken else what)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def stamp(path: Path) -> Stamp:
    """Return a file's path, size and time of change.

    Raises:
        GratisError: there is no such file, or it is something else.
    """
    remedy = "restore it from the original data"
    try:
        status = path.stat()
    except OSError as error:
        raise file_error(path, f"cannot be read ({error.strerror})", remedy) from error
    # A pipe would be waited for without end.
    if not path.is_file():
        raise file_error(path, "is not a file", remedy)
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

    A damaged store is made anew. What is said: that, and which images are skipped.

    Raises:
        GratisError: an image is broken and not to be skipped, or all images of a class are; or the
            cache folder cannot be written.
    """
    folder = cache_folder() / "decoded" / f"{content.name}-{content.size}px-{content.key()}"
    dataset = _find(folder, content)
    if isinstance(dataset, str):
        with in_turn(folder.name):
            # Another process may have made it while this one waited.
            dataset = _find(folder, content)
            if isinstance(dataset, str):
                dataset = _make(folder, content, dataset)
    if dataset.skipped:
        count = f"{len(dataset.skipped)} broken image{'s' * (len(dataset.skipped) > 1)}"
        logger.info(f"{printable(str(content.root))}: left out {count}: {few(dataset.skipped)}")
    return dataset


def remove_if_damaged(dataset: Dataset) -> bool:
    """Hash a store that is too large to be hashed when opened; remove it if it is damaged.

    Returns:
        Whether it was.
    """
    images = dataset.train.images
    if not isinstance(images, np.memmap) or _is_small(dataset) or _is_intact(dataset):
        return False
    folder = Path(str(images.filename)).parent
    logger.info(f"{folder}: is damaged (its content was changed); decoding the images anew")
    shutil.rmtree(folder)
    return True


def _is_small(dataset: Dataset) -> bool:
    return dataset.train.images.nbytes + dataset.validation.images.nbytes <= _HASHED_WHEN_OPENED


def _is_intact(dataset: Dataset) -> bool:
    return fingerprint(dataset.train, dataset.validation) == dataset.fingerprint


def _find(folder: Path, content: Content) -> Dataset | str:
    """Return the store in ``folder``, or why there is none to be used."""
    try:
        dataset = _open(folder, content)
    except PermissionError:
        raise
    except OSError as error:
        return f"{Path(error.filename or folder).name}: {error.strerror or error}"
    # Whatever a damaged file makes of its reader: ValueError, KeyError, OverflowError, ...
    except Exception as error:
        return str(error) or type(error).__name__
    if _is_small(dataset) and not _is_intact(dataset):
        return "its content was changed"
    return dataset


def _open(folder: Path, content: Content) -> Dataset:
    about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    if about["classes"] != list(content.classes):
        raise ValueError("it has other classes")
    train, validation = (_split(folder, name, content) for name in ("train", "validation"))
    skipped = tuple(map(str, about.get("skipped", [])))
    seal = str(about["fingerprint"])
    return Dataset(content.name, train, validation, content.classes, seal, skipped=skipped)


def _split(folder: Path, name: str, content: Content) -> Split:
    images = _array(folder / f"{name}-images.npy")
    labels = np.array(_array(folder / f"{name}-labels.npy"))
    shape = (len(labels), content.size, content.size, 3)
    if images.dtype != np.uint8 or images.shape != shape:
        raise ValueError(f"{images.dtype} images of shape {images.shape}, not uint8 {shape}")
    if labels.dtype != np.int64 or labels.ndim != 1:
        raise ValueError(f"{labels.dtype} labels of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= len(content.classes):
        raise ValueError(f"labels from {labels.min()} to {labels.max()}")
    return Split(images, labels)


def _array(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _make(folder: Path, content: Content, problem: str) -> Dataset:
    with appearing(folder, CACHE_REMEDY) as temporary:
        if folder.exists():
            logger.info(f"{folder}: is damaged ({printable(problem)}); decoding the images anew")
            # Before the new one is made, which may need its place.
            shutil.rmtree(folder)
        _fill(temporary, content)
    return _open(folder, content)


def _fill(folder: Path, content: Content) -> None:
    skipped: list[str] = []
    for name, split in (("train", content.train), ("validation", content.validation)):
        path, title = folder / f"{name}-images.npy", f"Decoding {name} images"
        with warnings.catch_warnings():
            # Pillow warns of oddities in files that are not ours; what counts is an error.
            warnings.filterwarnings("ignore", module=r"PIL\b")
            broken = write_images(path, split, content.size, content.skip_broken, title)
        _refuse_emptied(content, split, broken)
        write_array(folder / f"{name}-labels.npy", np.delete(split.labels, list(broken)))
        skipped += [_listed(content, broken, index) for index in sorted(broken)]
    _describe(folder, content, skipped)


def _describe(folder: Path, content: Content, skipped: list[str]) -> None:
    splits = (_split(folder, name, content) for name in ("train", "validation"))
    description = {
        "name": content.name,
        "classes": content.classes,
        "fingerprint": fingerprint(*splits),
        "skipped": skipped,
    }
    with (folder / "dataset.json").open("w", encoding="utf-8") as stream:
        json.dump(description, stream, indent=2, ensure_ascii=False)
        flush_to_disk(stream)


def _refuse_emptied(content: Content, split: Undecoded, broken: Broken) -> None:
    left = np.delete(split.labels, list(broken))
    for label in np.setdiff1d(split.labels, left):
        lost = [index for index in sorted(broken) if split.labels[index] == label]
        listed = few([_listed(content, broken, index) for index in lost])
        problem = f"all images of class {content.classes[label]!r} are broken: {listed}"
        raise file_error(content.root, problem, "restore some, or remove the class")


def _listed(content: Content, broken: Broken, index: int) -> str:
    error = broken[index]
    return printable(f"{error.path.relative_to(content.root)} ({error.reason})")
