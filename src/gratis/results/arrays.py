"""Named arrays in a safetensors file, which runs no code when it is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from gratis.errors import GratisError, file_error
from gratis.files import atomic_file
from gratis.regular_files import require_readable


class Arrays(NamedTuple):
    """What a file holds: its arrays and its metadata, both by name."""

    arrays: dict[str, NDArray[Any]]
    metadata: dict[str, str]


def save_arrays(
    path: Path, arrays: Mapping[str, NDArray[Any]], metadata: dict[str, str] | None = None
) -> None:
    """Write arrays to one safetensors file, all or nothing."""
    content = save(dict(arrays), metadata)
    # safetensors' own writer reports a full disk as a damaged file.
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def load_arrays(path: Path, problem: str, remedy: str) -> Arrays:
    """Read what :func:`save_arrays` wrote."""
    try:
        require_readable(path)
        with safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Arrays(arrays, file.metadata() or {})
    except FileNotFoundError as error:
        raise file_error(path, "does not exist", remedy) from error
    except PermissionError as error:
        raise file_error(path, f"cannot be read ({error.strerror})", "make it readable") from error
    except (GratisError, MemoryError):
        raise
    # The library raises many kinds of errors, such as a KeyError for a type that numpy lacks.
    except Exception as error:
        raise file_error(path, f"{problem} ({error})", remedy) from error
