"""Unpack archives without trusting them: nothing outside the folder, no links, no bombs."""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from contextlib import closing
from pathlib import Path, PureWindowsPath
from typing import IO

from gratis.errors import file_error
from gratis.progress import track

# Tiny ImageNet and CIFAR unpack to less than half a gigabyte.
_LIMIT = 4 * 2**30
_CHUNK = 2**20
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    # An encrypted member, and an unknown compression.
    RuntimeError,
)
_REFETCH = "delete it and fetch the original archive"

# A member's name, and its content unless it is a folder.
Member = tuple[str, IO[bytes]]


def extract(archive: Path, folder: Path, top: str, limit: int = _LIMIT) -> None:
    """Unpack a zip or tar archive into ``folder``; its leading folder ``top`` is dropped.

    Raises:
        GratisError: the archive is broken, unpacks to more than ``limit`` bytes, or has a member
            that is a link, or that would lie outside ``folder``.
    """
    members = _zip_files(archive) if archive.suffix == ".zip" else _tar_files(archive)
    left = limit
    try:
        with closing(members):
            for name, stream in track(members, f"Unpacking {archive.name}"):
                target = folder.joinpath(*_parts(archive, name, top))
                target.parent.mkdir(parents=True, exist_ok=True)
                left -= _copy(stream, target, left)
                if left < 0:
                    raise file_error(archive, f"unpacks to more than {limit} bytes", _REFETCH)
    except _BROKEN as error:
        raise file_error(archive, f"is a broken archive ({error})", _REFETCH) from error


def _parts(archive: Path, name: str, top: str) -> tuple[str, ...]:
    # Windows rules know both separators, drives and roots: what passes them is safe everywhere.
    path = PureWindowsPath(name)
    if path.drive or path.root or ".." in path.parts or not path.parts:
        raise file_error(archive, f"holds {name!r}, which lies outside of it", _REFETCH)
    return path.parts[1:] if path.parts[0] == top else path.parts


def _zip_files(archive: Path) -> Generator[Member, None, None]:
    with zipfile.ZipFile(archive) as content:
        for member in content.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise file_error(
                    archive, f"holds a link or a device ({member.filename!r})", _REFETCH
                )
            if not member.is_dir():
                with content.open(member) as stream:
                    yield member.filename, stream


def _tar_files(archive: Path) -> Generator[Member, None, None]:
    with tarfile.open(archive) as content:
        for member in content:
            if not (member.isfile() or member.isdir()):
                raise file_error(archive, f"holds a link or a device ({member.name!r})", _REFETCH)
            if (stream := content.extractfile(member)) is not None:
                with stream:
                    yield member.name, stream


def _copy(source: IO[bytes], target: Path, limit: int) -> int:
    """Copy a stream to a file, stopping soon after ``limit``; return the number of bytes."""
    copied = 0
    with target.open("wb") as stream:
        while copied <= limit and (chunk := source.read(_CHUNK)):
            stream.write(chunk)
            copied += len(chunk)
    return copied
