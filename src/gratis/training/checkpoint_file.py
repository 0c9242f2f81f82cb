"""Checkpoint files: safetensors with a checksum; the previous file is kept beside the newest."""

import json
import logging
import os
import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from gratis.digests import tensors_digest
from gratis.errors import GratisError, file_error
from gratis.files import atomic_file, flush_folder
from gratis.regular_files import require_readable

logger = logging.getLogger(__name__)

Tensors = dict[str, Tensor]
Metadata = dict[str, str]

_CHECKSUM = "checksum"
TRAIN_AGAIN = "delete it to train again, or train into a new folder with --out"


class _Damaged(GratisError):
    """The file is damaged or missing; the previous one may be intact."""


def previous(path: Path) -> Path:
    """Return the path of the previous file."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def exists(path: Path) -> bool:
    """Return whether there is a file at ``path``, or the previous one."""
    # A process killed between the two renames leaves only the previous file.
    return path.exists() or previous(path).exists()


def write(path: Path, tensors: Tensors, metadata: Metadata) -> None:
    """Write a checkpoint file atomically; it is read back before it replaces the last one."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # As bytes: the library's own writing reports a full disk as a damaged file.
    content = serialised(plain, metadata | {_CHECKSUM: _checksum(plain, metadata)})
    with atomic_file(path) as temporary:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        _read_one(temporary)
        if path.exists():
            path.replace(previous(path))
    flush_folder(path.parent)


def copy(path: Path, to: Path, *, keep_previous: bool = False) -> None:
    """Copy ``path`` to ``to`` atomically; ``keep_previous`` keeps the file that it replaces."""
    with atomic_file(to) as temporary:
        try:
            # A hard link is enough: checkpoint files are replaced, never written to.
            os.link(path, temporary)
        except OSError:
            shutil.copyfile(path, temporary)
        if keep_previous and to.exists():
            to.replace(previous(to))
    flush_folder(to.parent)


def read(path: Path, repair: bool = False) -> tuple[Tensors, Metadata]:
    """Return the content of ``path``, or of the previous file if it is damaged or missing.

    With ``repair`` the previous file then replaces the damaged one. Otherwise the next
    :func:`write` would keep the damaged one as the previous file.
    """
    try:
        return _read_one(path)
    except _Damaged as error:
        if not previous(path).is_file():
            raise
        try:
            content = _read_one(previous(path))
        except _Damaged:
            raise error from None
        logger.warning(f"{path}: is missing or damaged; using {previous(path).name}")
        if repair:
            previous(path).replace(path)
        return content


def _read_one(path: Path) -> tuple[Tensors, Metadata]:
    if not path.is_file():
        raise _Damaged(f"{path}: no such checkpoint; train first")
    try:
        require_readable(path)
        with safe_open(path, framework="pt") as content:
            metadata = content.metadata() or {}
            tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _Damaged(f"{path}: is damaged or not a checkpoint; {TRAIN_AGAIN}") from error
    except OSError as error:
        # The disk or the file server fails; the file itself may be intact.
        problem = f"cannot be read ({error.strerror or error})"
        raise file_error(path, problem, "run the command again") from error
    checksum = metadata.pop(_CHECKSUM, None)
    if checksum is None:
        raise _Damaged(f"{path}: is not a checkpoint of this version; {TRAIN_AGAIN}")
    if checksum != _checksum(tensors, metadata):
        raise _Damaged(f"{path}: is damaged, its checksum is wrong; {TRAIN_AGAIN}")
    return tensors, metadata


def _checksum(tensors: Tensors, metadata: Metadata) -> str:
    return tensors_digest(tensors, json.dumps(metadata, sort_keys=True))
