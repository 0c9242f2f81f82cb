"""The manifest of a folder of perturbed sets: what they were made from, by hash."""

from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator
from torch import nn

from gratis.data.dataset import Split
from gratis.digests import digest, tensors_digest
from gratis.errors import GratisError, file_error, quoted
from gratis.json_files import read_json
from gratis.settings import Settings, validate
from gratis.validation_sets.geometric import Geometry

MANIFEST = "manifest.json"

ArrayName = Literal["geometric", "transfer", "fgsm_transfer", "labels"]


class Manifest(Settings):
    """The content of ``manifest.json``.

    Attributes:
        format: the version of this layout.
        seed: the seed of the geometric noise.
        epsilon: the epsilon of FGSM in L-infinity, in [0, 1] units of pixel value.
        geometry: the ranges of the geometric noise.
        n: the number of images.
        shape: height and width in pixels, and channels, of each.
        split: the hash of the validation split's pixels and labels.
        baseline: the hash of the baseline's weights; ``None`` if only ``geometric`` was built.
        device: the kind of device on which the baseline was attacked.
        versions: the versions of the libraries that computed the pixels.
        files: the SHA-256 of ``<name>.npy``, for every array.
    """

    format: Literal[2] = 2
    seed: int
    epsilon: Annotated[float, Field(ge=0, le=1)]
    geometry: Geometry
    n: int
    shape: tuple[int, int, int]
    split: str
    baseline: str | None
    device: str
    versions: dict[str, str]
    files: dict[ArrayName, str]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needed = {"geometric", "labels"}
        if self.baseline is not None:
            needed |= {"transfer", "fgsm_transfer"}
        if needed != set(self.files):
            raise ValueError(f"files must list {', '.join(sorted(needed))}")
        return self


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the perturbed sets in ``folder``."""
    path = folder / MANIFEST
    if not path.is_file():
        remedy = f"build the sets: gratis perturb RUN --out {quoted(folder)}"
        raise file_error(path, "does not exist", remedy)
    content = read_json(path, rebuild(folder))
    try:
        return validate(Manifest, content, str(path))
    except GratisError as error:
        raise GratisError(f"{error}; {rebuild(folder)}") from error


def array_paths(folder: Path) -> dict[ArrayName, Path]:
    """Return the path of each array of perturbed sets in ``folder``, by name."""
    return {name: folder / f"{name}.npy" for name in get_args(ArrayName)}


def rebuild(folder: Path) -> str:
    """Return the remedy for sets in ``folder`` that are damaged or belong to another split."""
    return f"delete the folder {folder} and build the perturbed sets again"


def split_hash(split: Split) -> str:
    """Return the SHA-256 of a split's pixels and labels, in hexadecimal."""
    return digest([split.images, split.labels])


def weights_hash(module: nn.Module) -> str:
    """Return the SHA-256 of a module's parameters and buffers with their names, in hexadecimal."""
    return tensors_digest(dict([*module.named_parameters(), *module.named_buffers()]))
