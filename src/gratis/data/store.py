"""The store: images decoded once into uint8 arrays on disk, memory-mapped from then on.

A store is verified against its digest each time it is opened (about a second per GiB) and decoded
again if it is damaged. A store of more than 4 GiB is verified only when it is created, and by
``gratis data``.

Many images are in several files, the shards. An interrupted decoding keeps those that are whole, in
a hidden folder beside the store, and goes on after them.
"""

import json
import logging
import shutil
import warnings
from pathlib import Path

import numpy as np

from gratis.data.cache import CACHE_REMEDY, cache_folder, cache_lock
from gratis.data.dataset import Dataset, few
from gratis.data.decoding import write_array, write_images
from gratis.data.raw import RawDataset, RawSplit
from gratis.data.shard_files import Broken, Shard
from gratis.data.sharded_images import ShardedImages
from gratis.data.stored import fingerprint, open_split, open_store, shards_of
from gratis.errors import file_error, printable
from gratis.files import flush_folder, flush_to_disk
from gratis.progress import track
from gratis.regular_files import refuse_link, unwritable

logger = logging.getLogger(__name__)

_VERIFIED_WHEN_OPENED = 4 * 2**30


def decode_once(raw: RawDataset) -> Dataset:
    """Return ``raw`` as memory-mapped arrays, from the store or decoded into it.

    A damaged store is decoded again, with a warning. Images left out are logged.
    """
    key = f"{raw.name}-{raw.size}px-{raw.key()}"
    folder = cache_folder() / "decoded" / (f"{key}-skipping" if raw.skip_broken else key)
    dataset = _find(folder, raw)
    if isinstance(dataset, str):
        with cache_lock(key):
            # Another process may have decoded it in the meantime.
            dataset = _find(folder, raw)
            if isinstance(dataset, str):
                dataset = _create(folder, folder.with_name(f".{key}.partial"), raw, dataset)
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
    first = images.parts[0] if isinstance(images, ShardedImages) else images
    if not isinstance(first, np.memmap) or _is_small(dataset) or _is_intact(dataset):
        return False
    folder = Path(str(first.filename)).parent
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
        dataset = open_store(folder, raw)
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


def _create(folder: Path, partial: Path, raw: RawDataset, problem: str) -> Dataset:
    """Decode the images in the folder ``partial``, which becomes ``folder`` once it is complete."""
    try:
        refuse_link(partial)
        if folder.exists():
            _warn_of_damage(folder, problem)
            # Its whole shards are kept. The disk may not hold two stores.
            shutil.rmtree(partial, ignore_errors=True)
            folder.rename(partial)
        partial.mkdir(parents=True, exist_ok=True)
        _fill(partial, raw)
        partial.rename(folder)
        flush_folder(folder.parent)
    except OSError as error:
        _clean_up(partial, raw)
        # Where the cache has no locks, another process may have been first.
        if isinstance(dataset := _find(folder, raw), Dataset):
            return dataset
        raise unwritable(folder, error, CACHE_REMEDY) from error
    except BaseException:
        _clean_up(partial, raw)
        raise
    return open_store(folder, raw)


def _clean_up(partial: Path, raw: RawDataset) -> None:
    """Remove what an interrupted decoding wrote, unless it is worth to go on from it."""
    every = [*shards_of(partial, "train", raw), *shards_of(partial, "validation", raw)]
    whole = [shard for shard in every if shard.facts.is_file()]
    if not any(shard.full for shard in whole):
        shutil.rmtree(partial, ignore_errors=True)
        return
    decoded, total = (sum(len(shard.rows) for shard in shards) for shards in (whole, every))
    logger.info(f"{partial}: keeps {decoded} of {total} images; the next call decodes the others")


def _fill(folder: Path, raw: RawDataset) -> None:
    splits = {name: shards_of(folder, name, raw) for name in ("train", "validation")}
    whole = _whole_shards(folder, [shard for shards in splits.values() for shard in shards])
    skipped: list[str] = []
    for name, split in (("train", raw.train), ("validation", raw.validation)):
        missing = [shard for shard in splits[name] if shard.path not in whole]

        def finished(shard: Shard, broken: Broken) -> None:
            shard.finish(broken)
            whole[shard.path] = broken

        with warnings.catch_warnings():
            # Pillow warns of oddities in files that it can read.
            warnings.filterwarnings("ignore", module=r"PIL\b")
            title = f"Decoding {name} images"
            write_images(split, missing, raw.size, raw.skip_broken, title, finished)
        broken = {index: e for shard in splits[name] for index, e in whole[shard.path].items()}
        if broken and not raw.skip_broken:
            raise broken[min(broken)]
        _refuse_emptied(raw, split, broken)
        write_array(folder / f"{name}-labels.npy", np.delete(split.labels, list(broken)))
        skipped += [_listed(raw, broken, index) for index in sorted(broken)]
    _describe(folder, raw, skipped)


def _whole_shards(folder: Path, shards: list[Shard]) -> dict[Path, Broken]:
    """Return the broken images that each whole shard lacks; remove everything else."""
    there = [shard for shard in shards if shard.facts.is_file()]
    found: dict[Path, Broken] = {}
    for shard in track(there, "Checking decoded images") if len(there) > 1 else there:
        if (broken := shard.broken_images()) is not None:
            found[shard.path] = broken
    kept = {name for shard in shards if shard.path in found for name in shard.names}
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in kept:
            path.unlink()
    return found


def _describe(folder: Path, raw: RawDataset, skipped: list[str]) -> None:
    train, validation = (open_split(folder, name, raw) for name in ("train", "validation"))
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
