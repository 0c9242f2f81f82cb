"""The perturbed validation sets: built once from a baseline, stored, and verified when loaded.

A folder holds ``geometric.npy``, ``transfer.npy`` and ``fgsm_transfer.npy`` (uint8 images like the
validation split's), ``labels.npy`` (int64) and ``manifest.json``. Any model can be measured on it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import nn

from gratis.attacks import frozen
from gratis.data.dataset import Split
from gratis.digests import file_digest
from gratis.errors import GratisError, file_error
from gratis.files import atomic_folder, write_json
from gratis.progress import bar
from gratis.validation_sets.geometric import Geometry, noisy
from gratis.validation_sets.manifest import (
    MANIFEST,
    ArrayName,
    Manifest,
    read_manifest,
    rebuild,
    split_hash,
    weights_hash,
)
from gratis.validation_sets.transfer import attacked

_CONTENT = frozenset({MANIFEST, *(f"{name}.npy" for name in get_args(ArrayName))})

# FGSM takes the sign of gradients whose last bits depend on the batch size: the baseline always
# gets batches of this many images.
_BLOCK = 100


@dataclass(frozen=True)
class PerturbedSets:
    """Perturbed images, uint8 (n, height, width, 3), memory-mapped, with ``labels`` (n,).

    The order is that of the validation split. ``transfer`` and ``fgsm_transfer`` are ``None`` if
    the sets were built without a baseline.
    """

    geometric: NDArray[np.uint8]
    transfer: NDArray[np.uint8] | None
    fgsm_transfer: NDArray[np.uint8] | None
    labels: NDArray[np.int64]
    manifest: Manifest


def build(
    folder: Path,
    split: Split,
    mirrors: bool,
    baseline: nn.Module | None,
    epsilon: float,
    seed: int,
) -> Manifest:
    """Build the sets of a validation split and return their manifest.

    The folder appears complete or not at all, and replaces earlier sets. The same arguments on the
    same machine give the same bytes; the caller's autocast, inference mode and default dtype make
    no difference.

    Args:
        folder: the folder of the sets.
        split: the validation split.
        mirrors: whether a mirrored image still shows its class; if not, no image is mirrored.
        baseline: maps images (n, 3, height, width) in [0, 1] to logits, or to an object with
            ``logits``, on the device of its parameters; left as it was. ``None`` builds only
            ``geometric``.
        epsilon: the epsilon of FGSM in L-infinity, in [0, 1] units of pixel value.
        seed: the seed of the geometric noise.

    Raises:
        GratisError: the folder holds other files, or cannot be written.
    """
    geometry = Geometry() if mirrors else Geometry(mirror_probability=0.0)
    with atomic_folder(folder, replaces=_CONTENT) as partial:

        def save(name: ArrayName, make: Callable[[slice], NDArray[np.uint8]]) -> NDArray[np.uint8]:
            return _save_blocks(partial / f"{name}.npy", split.images.shape, make)

        save("geometric", lambda block: noisy(split.images[block], geometry, seed, block.start))
        if baseline is not None:
            with frozen(baseline):
                transfer = save(
                    "transfer", lambda block: attacked(baseline, _part(split, block), epsilon)
                )
            # From the stored pixels, so that the two sets differ by the noise and nothing else.
            save("fgsm_transfer", lambda block: noisy(transfer[block], geometry, seed, block.start))
        np.save(partial / "labels.npy", split.labels, allow_pickle=False)
        manifest = Manifest(
            seed=seed,
            epsilon=epsilon,
            geometry=geometry,
            n=len(split),
            shape=split.images.shape[1:],
            split=split_hash(split),
            baseline=None if baseline is None else weights_hash(baseline),
            device="cpu" if baseline is None else next(baseline.parameters()).device.type,
            versions={kind.__name__: kind.__version__ for kind in (np, torch, torchvision)},
            files={
                name: file_digest(path) for name, path in _files(partial).items() if path.exists()
            },
        )
        write_json(partial / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def _files(folder: Path) -> dict[ArrayName, Path]:
    return {name: folder / f"{name}.npy" for name in get_args(ArrayName)}


def _part(split: Split, block: slice) -> Split:
    return Split(split.images[block], split.labels[block])


def _save_blocks(
    path: Path, shape: tuple[int, ...], make: Callable[[slice], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    # A stream, since a full disk crashes the process that writes through a memory map.
    with path.open("wb") as stream, bar(f"build {path.stem}", shape[0]) as shown:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, shape[0], _BLOCK):
            made = make(slice(start, min(start + _BLOCK, shape[0])))
            stream.write(np.ascontiguousarray(made).data)
            shown.advance(len(made))
        stream.flush()
        os.fsync(stream.fileno())
    images: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return images


def load(folder: Path, split: Split) -> PerturbedSets:
    """Open the sets in ``folder`` after checking every hash.

    Args:
        folder: a folder that :func:`build` wrote, on this machine or another.
        split: the validation split that the sets must have been built from.

    Raises:
        GratisError: a file is missing or was changed, or the sets were built from other images.
    """
    manifest = read_manifest(folder)
    if manifest.split != split_hash(split):
        problem = "was made from another validation split"
        raise file_error(folder, problem, rebuild(folder))
    paths = _files(folder)
    arrays = {name: _load_array(paths[name], digest) for name, digest in manifest.files.items()}
    for name, array in arrays.items():
        expected = split.labels if name == "labels" else split.images
        if array.shape != expected.shape or array.dtype != expected.dtype:
            problem = "does not fit the validation split"
            raise file_error(paths[name], problem, rebuild(folder))
    if not np.array_equal(arrays["labels"], split.labels):
        raise file_error(paths["labels"], "are not the validation split's", rebuild(folder))
    return PerturbedSets(
        geometric=arrays["geometric"],
        transfer=arrays.get("transfer"),
        fgsm_transfer=arrays.get("fgsm_transfer"),
        labels=arrays["labels"],
        manifest=manifest,
    )


def _load_array(path: Path, digest: str) -> NDArray[Any]:
    try:
        if file_digest(path) != digest:
            raise file_error(path, "was changed since it was built", rebuild(path.parent))
        _refuse_other_formats(path)
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except GratisError:
        raise
    # On a malicious header numpy may raise any exception.
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) else "not a plain numpy array"
        problem = f"cannot be read ({reason})"
        raise file_error(path, problem, rebuild(path.parent)) from error
    return array


def _refuse_other_formats(path: Path) -> None:
    """Refuse everything but .npy of version 1.0, which is what :func:`build` writes.

    numpy also opens archives and pickles, and headers of later versions can claim gigabytes.

    Raises:
        ValueError: the file has another format.
    """
    with path.open("rb") as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("not version 1.0 of .npy")


def made_from(folder: Path, baseline: nn.Module, epsilon: float, split: Split) -> bool:
    """Return whether the sets in ``folder`` were built from these weights and images.

    Only the manifest is read; :func:`load` checks the arrays. Without a manifest the answer is no.

    Args:
        folder: a folder that :func:`build` may have written.
        baseline: the model that must have been attacked.
        epsilon: the epsilon that it must have been attacked with.
        split: the validation split that the sets must have been built from.

    Raises:
        GratisError: the manifest is damaged.
    """
    if not (folder / MANIFEST).exists():
        return False
    manifest = read_manifest(folder)
    return (
        manifest.epsilon == epsilon
        and manifest.baseline == weights_hash(baseline)
        and manifest.split == split_hash(split)
    )
