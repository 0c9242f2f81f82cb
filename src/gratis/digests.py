"""SHA-256 digests of files, text and arrays: the one algorithm behind every stored hash."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(parts: Iterable[str | NDArray[Any]]) -> str:
    """Return the SHA-256 of texts and arrays in their order, in hexadecimal.

    An array counts with its data type and shape, so that arrays of the same bytes differ. A
    memory-mapped array is read from disk and not copied.
    """
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            content: Any = part.encode()
            found.update(f"text {len(content)}\n".encode())
        else:
            content = np.ascontiguousarray(part).data
            found.update(f"{part.dtype.str} {part.shape}\n".encode())
        found.update(content)
    return found.hexdigest()
