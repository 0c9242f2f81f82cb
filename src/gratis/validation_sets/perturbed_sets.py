"""The perturbed validation sets: built once from a baseline, stored, and verified when loaded.

A folder holds ``geometric.npy``, ``transfer.npy`` and ``fgsm_transfer.npy`` (uint8 images like the
validation split's), ``labels.npy`` (int64) and ``manifest.json``. Any model can be measured on it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from gratis.data.dataset import Split
from gratis.digests import file_digest
from gratis.errors import GratisError, file_error
from gratis.validation_sets.manifest import (
    MANIFEST,
    Manifest,
    array_paths,
    read_manifest,
    rebuild,
    split_hash,
    weights_hash,
)


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


def load(folder: Path, split: Split) -> PerturbedSets:
    """Open the sets in ``folder`` after checking every hash."""
    manifest = read_manifest(folder)
    if manifest.split != split_hash(split):
        problem = "was made from another validation split"
        raise file_error(folder, problem, rebuild(folder))
    paths = array_paths(folder)
    arrays = {name: _load_array(paths[name], digest) for name, digest in manifest.files.items()}
    for name, array in arrays.items():
        expected = split.labels if name == "labels" else split.images
        if array.shape != expected.shape or array.dtype != expected.dtype:
            problem = "does not fit the validation split"
            raise file_error(paths[name], problem, rebuild(folder))
    if not np.array_equal(arrays["labels"], split.labels):
        raise file_error(paths["labels"], "are not those of the validation split", rebuild(folder))
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
    """
    if not (folder / MANIFEST).exists():
        return False
    manifest = read_manifest(folder)
    return (
        manifest.epsilon == epsilon
        and manifest.baseline == weights_hash(baseline)
        and manifest.split == split_hash(split)
    )
