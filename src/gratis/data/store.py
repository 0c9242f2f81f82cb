"""The store: images decoded once into uint8 arrays on disk, memory-mapped from then on.

A store is verified against its digest each time it is opened (about a second per GiB) and decoded
again if it is damaged. A store of more than 4 GiB is verified only when it is created, and by
``gratis data``.
"""

import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gratis.data.cache import CACHE_REMEDY, cache_folder, cache_lock
from gratis.data.dataset import Dataset, Split, few
from gratis.data.decoding import Broken, flush_to_disk, write_array, write_images
from gratis.data.raw import RawDataset, RawSplit
from gratis.digests import digest
from gratis.errors import file_error, printable
from gratis.files import atomic_folder

logger = logging.getLogger(__name__)

_VERIFIED_WHEN_OPENED = 4 * 2**30


def fingerprint(train: Split, validation: Split) -> str:
    """Return a digest of every pixel and label."""
    return digest([train.images, train.labels, validation.images, validation.labels])


def decode_once(raw: RawDataset) -> Dataset:
    """Return ``raw`` as memory-mapped arrays, from the store or decoded into it.

    A damaged store is decoded again, with a warning. Images left out are logged.
    """
    folder = cache_folder() / "decoded" / f"{raw.name}-{raw.size}px-{raw.key()}"
    dataset = _find(folder, raw)
    if isinstance(dataset, str):
        with cache_lock(folder.name):
            # Another process may have decoded it in the meantime.
            dataset = _find(folder, raw)
            if isinstance(dataset, str):
                dataset = _create(folder, raw, dataset)
    if dataset.skipped:
        count = f"{len(dataset.skipped)} broken image{'s' * (len(dataset.skipped) > 1)}"
        logger.warning(f"{printable(str(raw.root))}: left out {count}: {few(dataset.skipped)}")
    return dataset


def remove_if_damaged(dataset: Dataset) -> bool:
    """Verify a store that is too large to be verified when opened, and remove it if damaged.

    Returns:
        Whether it was removed.
    """
    images = dataset.train.images
    if not isinstance(images, np.memmap) or _is_small(dataset) or _is_intact(dataset):
        return False
    folder = Path(str(images.filename)).parent
    _warn_of_damage(folder, "its content was changed")
    shutil.rmtree(folder)
    return True


def _warn_of_damage(folder: Path, problem: str) -> None:
    logger.warning(f"{folder}: is damaged ({printable(problem)}); decoding the images again")


def _is_small(dataset: Dataset) -> bool:
    size = dataset.train.images.nbytes + dataset.validation.images.nbytes
    return size <= _VERIFIED_WHEN_OPENED


def _is_intact(dataset: Dataset) -> bool:
    return fingerprint(dataset.train, dataset.validation) == dataset.fingerprint


def _find(folder: Path, raw: RawDataset) -> Dataset | str:
    """Return the store in ``folder``, or why it cannot be used."""
    try:
        dataset = _open(folder, raw)
    except PermissionError:
        raise
    except OSError as error:
        return f"{Path(error.filename or folder).name}: {error.strerror or error}"
    # Damaged files raise ValueError, KeyError, OverflowError and others.
    except Exception as error:
        return str(error) or type(error).__name__
    if _is_small(dataset) and not _is_intact(dataset):
        return "its content was changed"
    return dataset


def _open(folder: Path, raw: RawDataset) -> Dataset:
    about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    if about["classes"] != list(raw.classes):
        raise ValueError("it has other classes")
    train, validation = (_split(folder, name, raw) for name in ("train", "validation"))
    skipped = tuple(map(str, about["skipped"]))
    found = str(about["fingerprint"])
    return Dataset(raw.name, train, validation, raw.classes, found, skipped=skipped)


def _split(folder: Path, name: str, raw: RawDataset) -> Split:
    images = _array(folder / f"{name}-images.npy")
    labels = np.array(_array(folder / f"{name}-labels.npy"))
    shape = (len(labels), raw.size, raw.size, 3)
    if images.dtype != np.uint8 or images.shape != shape:
        raise ValueError(f"{images.dtype} images of shape {images.shape}, not uint8 {shape}")
    if labels.dtype != np.int64 or labels.ndim != 1:
        raise ValueError(f"{labels.dtype} labels of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= len(raw.classes):
        raise ValueError(f"labels from {labels.min()} to {labels.max()}")
    return Split(images, labels)


def _array(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _create(folder: Path, raw: RawDataset, problem: str) -> Dataset:
    with atomic_folder(folder, CACHE_REMEDY) as temporary:
        if folder.exists():
            _warn_of_damage(folder, problem)
            # Removed first, since the disk may not hold both.
            shutil.rmtree(folder)
        _fill(temporary, raw)
    return _open(folder, raw)


def _fill(folder: Path, raw: RawDataset) -> None:
    skipped: list[str] = []
    for name, split in (("train", raw.train), ("validation", raw.validation)):
        path, title = folder / f"{name}-images.npy", f"Decoding {name} images"
        with warnings.catch_warnings():
            # Pillow warns of oddities in files that it can read.
            warnings.filterwarnings("ignore", module=r"PIL\b")
            broken = write_images(path, split, raw.size, raw.skip_broken, title)
        _refuse_emptied(raw, split, broken)
        write_array(folder / f"{name}-labels.npy", np.delete(split.labels, list(broken)))
        skipped += [_listed(raw, broken, index) for index in sorted(broken)]
    _describe(folder, raw, skipped)


def _describe(folder: Path, raw: RawDataset, skipped: list[str]) -> None:
    train, validation = (_split(folder, name, raw) for name in ("train", "validation"))
    description = {
        "classes": raw.classes,
        "fingerprint": fingerprint(train, validation),
        "skipped": skipped,
    }
    with (folder / "dataset.json").open("w", encoding="utf-8") as stream:
        json.dump(description, stream, indent=2, ensure_ascii=False)
        flush_to_disk(stream)


def _refuse_emptied(raw: RawDataset, split: RawSplit, broken: Broken) -> None:
    """Refuse a class of which every image is broken."""
    left = np.delete(split.labels, list(broken))
    for label in np.setdiff1d(split.labels, left):
        lost = [index for index in sorted(broken) if split.labels[index] == label]
        listed = few([_listed(raw, broken, index) for index in lost])
        problem = f"all images of class {raw.classes[label]!r} are broken: {listed}"
        raise file_error(raw.root, problem, "restore some, or remove the class")


def _listed(raw: RawDataset, broken: Broken, index: int) -> str:
    error = broken[index]
    folder = raw.root if raw.root.is_dir() else raw.root.parent
    path = error.path
    name = path.relative_to(folder) if path.is_relative_to(folder) else path
    return printable(f"{name} ({error.reason})")
