"""Carry perturbed validation sets in a thirtieth of their size.

The FGSM images of the set ``transfer`` differ from the validation images by epsilon times a sign,
so one bit for each value is enough. ``geometric`` and ``fgsm_transfer`` follow from seeds.

    python scripts/transfer_sets.py pack SETS DATA FILE       # SETS/transfer.npy -> FILE
    python scripts/transfer_sets.py unpack SETS DATA FILE     # SETS/manifest.json, FILE -> SETS

DATA is the folder of the decoded data set, below the cache's folder ``decoded``. ``unpack`` refuses
what does not match the SHA-256 of every array in the manifest.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gratis.digests import file_digest
from gratis.errors import GratisError
from gratis.validation_sets.geometric import noisy
from gratis.validation_sets.manifest import array_paths, read_manifest

Pixels = NDArray[np.uint8]


def main(command: str, sets: Path, data: Path, file: Path) -> None:
    """Run one of the commands above."""
    images: Pixels = np.load(data / "validation-images.npy", allow_pickle=False)
    if command == "pack":
        np.save(file, packed_signs(images, np.load(sets / "transfer.npy", allow_pickle=False)))
    elif command == "unpack":
        shutil.copyfile(data / "validation-labels.npy", sets / "labels.npy")
        unpack(sets, images, np.load(file, allow_pickle=False))
    else:
        raise GratisError(f"{command}: the commands are pack and unpack")


def packed_signs(images: Pixels, transfer: Pixels) -> Pixels:
    """Return one bit for each value of ``images``: whether FGSM lowered it."""
    lowered = (transfer < images) | ((transfer == images) & (images == 0))
    return np.packbits(lowered)


def moved(images: Pixels, signs: Pixels, levels: int) -> Pixels:
    """Return the FGSM images: every value raised or lowered by ``levels``, within 0 to 255."""
    lowered = np.unpackbits(signs, count=images.size).reshape(images.shape).astype(bool)
    change = np.where(lowered, -levels, levels)
    return np.clip(images + change, 0, 255).astype(np.uint8)


def unpack(sets: Path, images: Pixels, signs: Pixels) -> None:
    """Write the arrays of ``sets`` that its manifest lists.

    Raises:
        GratisError: an array is not the one in the manifest.
    """
    manifest, paths = read_manifest(sets), array_paths(sets)
    transfer = moved(images, signs, int(manifest.epsilon * 255 + 1e-3))
    np.save(paths["transfer"], transfer)
    np.save(paths["geometric"], noisy(images, manifest.geometry, manifest.seed, 0))
    np.save(paths["fgsm_transfer"], noisy(transfer, manifest.geometry, manifest.seed, 0))
    for name, expected in manifest.files.items():
        if file_digest(paths[name]) != expected:
            raise GratisError(f"{paths[name]}: differs from the set in the manifest")


if __name__ == "__main__":
    try:
        main(sys.argv[1], *map(Path, sys.argv[2:5]))
    except (IndexError, TypeError):
        sys.exit("usage: python scripts/transfer_sets.py pack|unpack SETS DATA FILE")
    except (GratisError, OSError) as error:
        sys.exit(str(error))
