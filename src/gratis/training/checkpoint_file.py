"""Sealed files: safetensors with a checksum over all of it, and the one before kept beside it."""

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from gratis.errors import GratisError, file_error
from gratis.files import flush_folder, replacing

logger = logging.getLogger(__name__)

Tensors = dict[str, Tensor]
Metadata = dict[str, str]

_CHECKSUM = "checksum"
TRAIN_AGAIN = "delete it to train again, or train into a new folder with --out"


class _Damaged(GratisError):
    """The content is wrong, or there is none: the one before may do."""


def previous(path: Path) -> Path:
    """Return where the file that ``path`` replaced is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def exists(path: Path) -> bool:
    """Return whether there is a file at ``path``, or the one before it."""
    # A process killed between the two renames leaves only the earlier one.
    return path.exists() or previous(path).exists()


def write(path: Path, tensors: Tensors, metadata: Metadata) -> None:
    """Write a checkpoint file, all or nothing; it is read back before it replaces the last.

    Raises:
        GratisError: the file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    checkpoint_file = metadata | {_CHECKSUM: _checksum(plain, metadata)}
    # As bytes: the library's own writing reports a full disk as damage.
    content = serialised(plain, checkpoint_file)
    with replacing(path) as temporary:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        _read_one(temporary)
        if path.exists():
            path.replace(previous(path))
    flush_folder(path.parent)


def copy(path: Path, to: Path) -> None:
    """Let ``to`` be the file that ``path`` is now, all or nothing.

    Raises:
        GratisError: it cannot be written.
    """
    with replacing(to) as temporary:
        try:
            # The same file by another name: it is never written to, only replaced.
            os.link(path, temporary)
        except OSError:
            shutil.copyfile(path, temporary)


def read(path: Path, quiet: bool = False, settle: bool = False) -> tuple[Tensors, Metadata]:
    """Return the content of ``path``; where it is damaged or gone, that of the one before.

    The latter is said, unless ``quiet``. With ``settle`` the one before then takes the place of
    the damaged one, which the next :func:`write` would otherwise keep in its stead.

    Raises:
        GratisError: neither is there and intact.
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
        if not quiet:
            logger.info(
                f"{path}: is gone or damaged; using the one before it, {previous(path).name}"
            )
        if settle:
            previous(path).replace(path)
        return content


def _read_one(path: Path) -> tuple[Tensors, Metadata]:
    if not path.is_file():
        raise _Damaged(f"{path}: no such checkpoint; train first")
    try:
        with safe_open(path, framework="pt") as content:
            metadata = content.metadata() or {}
            tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _Damaged(f"{path}: is damaged or not a checkpoint; {TRAIN_AGAIN}") from error
    except OSError as error:
        # A disk or a server that fails for once: nothing is known of the file.
        problem = f"cannot be read now ({error.strerror or error})"
        raise file_error(path, problem, "run again") from error
    checksum = metadata.pop(_CHECKSUM, None)
    if checksum is None:
        raise _Damaged(f"{path}: is not a checkpoint of this version; {TRAIN_AGAIN}")
    if checksum != _checksum(tensors, metadata):
        raise _Damaged(f"{path}: is damaged, its checksum is wrong; {TRAIN_AGAIN}")
    return tensors, metadata


def _checksum(tensors: Tensors, metadata: Metadata) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
