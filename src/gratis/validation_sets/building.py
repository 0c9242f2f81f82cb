"""Build the perturbed validation sets from a baseline model."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import nn

from gratis.attacks import frozen
from gratis.data.dataset import Split
from gratis.digests import file_digest
from gratis.files import atomic_folder
from gratis.json_files import write_json
from gratis.progress import bar
from gratis.validation_sets.geometric import Geometry, noisy
from gratis.validation_sets.manifest import (
    MANIFEST,
    ArrayName,
    Manifest,
    array_paths,
    split_hash,
    weights_hash,
)
from gratis.validation_sets.transfer import attacked

_CONTENT = frozenset({MANIFEST, *(path.name for path in array_paths(Path()).values())})

# FGSM takes the sign of gradients whose last bits depend on the batch size: the baseline always
# gets batches of this many images.
_BLOCK = 100


def build(
    folder: Path,
    split: Split,
    flippable: bool,
    baseline: nn.Module | None,
    epsilon: float,
    seed: int,
) -> Manifest:
    """Build the sets of a validation split and return their manifest.

    The folder appears complete or not at all, and replaces earlier sets. The same arguments on the
    same machine give the same bytes; the caller's autocast, inference mode and default dtype make
    no difference. No image is mirrored unless ``flippable``: a mirrored image still shows its
    class. Without a ``baseline`` only ``geometric`` is built. ``epsilon`` is that of FGSM in
    L-infinity, in [0, 1] units of pixel value; ``seed`` that of the geometric noise.
    """
    geometry = Geometry() if flippable else Geometry(mirror_probability=0.0)
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
                name: file_digest(path)
                for name, path in array_paths(partial).items()
                if path.exists()
            },
        )
        write_json(partial / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def _part(split: Split, block: slice) -> Split:
    return Split(split.images[block], split.labels[block])


def _save_blocks(
    path: Path, shape: tuple[int, ...], make: Callable[[slice], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    # A stream, since a full disk crashes the process that writes through a memory map.
    with path.open("wb") as stream, bar(f"build {path.stem}", shape[0]) as progress_bar:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, shape[0], _BLOCK):
            made = make(slice(start, min(start + _BLOCK, shape[0])))
            stream.write(np.ascontiguousarray(made).data)
            progress_bar.advance(len(made))
        stream.flush()
        os.fsync(stream.fileno())
    images: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return images
