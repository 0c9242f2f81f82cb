"""SHA-256 digests of files, text, arrays and tensors: all hashes that the library stores."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gratis.regular_files import open_regular

if TYPE_CHECKING:
    from torch import Tensor


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Pieces(Protocol):
    """An array in several pieces along its first axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole."""

    @property
    def parts(self) -> Iterable[NDArray[Any]]:
        """The pieces in their order."""


def digest(parts: Iterable[str | NDArray[Any] | Pieces]) -> str:
    """Return the SHA-256 of texts and arrays in their order, in hexadecimal.

    An array counts with its data type and shape, so that arrays of the same bytes differ; in
    pieces it counts as the whole. A memory-mapped array is read from disk and not copied.
    """
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            content = part.encode()
            found.update(f"text {len(content)}\n".encode())
            found.update(content)
            continue
        found.update(f"{part.dtype.str} {part.shape}\n".encode())
        for piece in [part] if isinstance(part, np.ndarray) else part.parts:
            found.update(np.ascontiguousarray(piece).data)
    return found.hexdigest()


def tensors_digest(tensors: Mapping[str, "Tensor"], text: str = "") -> str:
    """Return the SHA-256 of a text and of tensors with their names, in hexadecimal.

    The order of the names, the device and the memory format make no difference.
    """
    import torch  # digests of arrays must not need it

    def parts() -> Iterable[str | NDArray[Any]]:
        yield text
        for name, tensor in sorted(tensors.items()):
            yield f"{name} {tensor.dtype} {tuple(tensor.shape)}"
            # As bytes, because numpy lacks bfloat16.
            plain = tensor.detach().cpu().contiguous().reshape(-1)
            yield plain.view(torch.uint8).numpy()

    return digest(parts())
