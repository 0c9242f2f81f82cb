"""What a folder of perturbed sets is made of, by hash."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from gratis.data.dataset import Split
from gratis.errors import GratisError, file_error
from gratis.files import read_json
from gratis.settings import Settings, validate
from gratis.validation_sets.geometric import Geometry

MANIFEST = "manifest.json"

ArrayName = Literal["geometric", "transfer", "fgsm_transfer", "labels"]


class Manifest(Settings):
    """The content of ``manifest.json``.

    Attributes:
        format: the version of this layout.
        seed: the seed of the geometric noise.
        epsilon: the budget of FGSM, in [0, 1] units of pixel value.
        geometry: the ranges of the geometric noise.
        n: number of images.
        shape: height and width in pixels, and channels, of each.
        split: the hash of the validation split's pixels and labels.
        baseline: the hash of the baseline's weights; ``None`` where only ``geometric`` was made.
        device: the kind of device on which the baseline was attacked.
        versions: of the libraries that made the pixels.
        files: the SHA-256 of ``<name>.npy``, for every array.
    """

    format: Literal[1] = 1
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
    """Return the manifest of the perturbed sets in ``folder``.

    Raises:
        GratisError: it is missing or damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        remedy = f"make the sets with: gratis perturb RUN --out {folder}"
        raise file_error(path, "does not exist", remedy)
    content = read_json(path, rebuild(folder))
    try:
        return validate(Manifest, content, str(path))
    except GratisError as error:
        raise GratisError(f"{error}; {rebuild(folder)}") from error


def rebuild(folder: Path) -> str:
    """Return what to do about sets in ``folder`` that are damaged, or another split's."""
    return f"delete the folder {folder} and build the perturbed sets again"


def split_hash(split: Split) -> str:
    """Return the SHA-256 of a split's shape, pixels and labels, in hexadecimal."""
    digest = hashlib.sha256(repr(split.images.shape).encode())
    for start in range(0, len(split), 1024):
        digest.update(split.images[start : start + 1024].tobytes())
    digest.update(split.labels.tobytes())
    return digest.hexdigest()


def weights_hash(module: nn.Module) -> str:
    """Return the SHA-256 of a module's parameters and buffers, with names, types and shapes."""
    tensors = dict([*module.named_parameters(), *module.named_buffers()])
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
