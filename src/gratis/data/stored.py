"""Opening a store: memory-mapped arrays, checked before they are used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gratis.data.dataset import Dataset, Split
from gratis.data.raw import RawDataset, RawSplit
from gratis.data.shard_files import Shard, plan_shards
from gratis.data.sharded_images import ShardedImages
from gratis.digests import digest


def fingerprint(train: Split, validation: Split) -> str:
    """Return a digest of every pixel and label."""
    return digest([train.images, train.labels, validation.images, validation.labels])


def open_store(folder: Path, raw: RawDataset) -> Dataset:
    """Return the store of ``raw`` in ``folder``; pixels are not verified.

    Raises:
        Exception: a file is missing or damaged; it may be any exception.
    """
    about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    if about["classes"] != list(raw.classes):
        raise ValueError("it has other classes")
    train, validation = (open_split(folder, name, raw) for name in ("train", "validation"))
    skipped = tuple(map(str, about["skipped"]))
    found = str(about["fingerprint"])
    return Dataset(raw.name, train, validation, raw.classes, found, skipped=skipped)


def open_split(folder: Path, name: str, raw: RawDataset) -> Split:
    """Return the split ``name`` of a store, which may lack its description."""
    parts = [_array(shard.path) for shard in shards_of(folder, name, raw)]
    labels = np.array(_array(folder / f"{name}-labels.npy"))
    for part in parts:
        if part.dtype != np.uint8 or part.shape[1:] != (raw.size, raw.size, 3):
            raise ValueError(f"{part.dtype} images of shape {part.shape}")
    if sum(map(len, parts)) != len(labels):
        raise ValueError(f"{sum(map(len, parts))} images and {len(labels)} labels")
    if labels.dtype != np.int64 or labels.ndim != 1:
        raise ValueError(f"{labels.dtype} labels of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= len(raw.classes):
        raise ValueError(f"labels from {labels.min()} to {labels.max()}")
    return Split(parts[0] if len(parts) == 1 else ShardedImages(parts), labels)


def shards_of(folder: Path, name: str, raw: RawDataset) -> list[Shard]:
    """Return the files of the images of a split."""
    split: RawSplit = getattr(raw, name)
    return plan_shards(folder, f"{name}-images", len(split.labels), raw.size)


def _array(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
