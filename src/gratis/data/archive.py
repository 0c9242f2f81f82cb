"""Unpack archives without trusting them: nothing outside the folder, no links, no bombs."""

import stat
import tarfile
import zipfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PureWindowsPath
from typing import IO

from gratis.errors import GratisError, file_error
from gratis.progress import track

# Tiny ImageNet and CIFAR unpack to less than half a gigabyte.
_LIMIT = 4 * 2**30
_CHUNK = 2**20
_ENCRYPTED = 1
_REFETCH = "delete it and fetch the original archive"

# A member's name, and its content unless it is a folder.
Member = tuple[str, IO[bytes]]


def extract(archive: Path, folder: Path, top: str, limit: int = _LIMIT) -> None:
    """Unpack a zip or tar archive into the empty ``folder``, without its leading folder ``top``.

    Raises:
        GratisError: the archive is broken, unpacks to more than ``limit`` bytes, has a member
            that is a link or would lie outside ``folder``, or two of one name.
    """
    members = _zip_files(archive) if archive.suffix == ".zip" else _tar_files(archive)
    left = limit
    with closing(members):
        for name, stream in track(members, f"Unpacking {archive.name}"):
            target = folder.joinpath(*_parts(archive, name, top))
            with _new_file(archive, name, target) as output:
                for chunk in _chunks(archive, stream):
                    left -= len(chunk)
                    if left < 0:
                        raise file_error(archive, f"unpacks to more than {limit} bytes", _REFETCH)
                    output.write(chunk)


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Turn whatever a broken archive makes of its reader into one clear line."""
    try:
        yield
    except GratisError:
        raise
    # zlib.error, struct.error, EOFError, UnicodeDecodeError, RuntimeError, ...
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise file_error(archive, f"is a broken archive ({reason})", _REFETCH) from error


def _chunks(archive: Path, stream: IO[bytes]) -> Iterator[bytes]:
    while True:
        with _reading(archive):
            chunk = stream.read(_CHUNK)
        if not chunk:
            return
        yield chunk


def _new_file(archive: Path, name: str, target: Path) -> IO[bytes]:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("xb")
    # Also where two names only differ in what this file system does not tell apart.
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        problem = f"holds {name!r} twice, or as a file and as a folder"
        raise file_error(archive, problem, _REFETCH) from error
    except ValueError as error:
        problem = f"holds {name!r}, which is no name for a file"
        raise file_error(archive, problem, _REFETCH) from error


def _parts(archive: Path, name: str, top: str) -> tuple[str, ...]:
    # Windows rules know both separators, drives and roots: what passes them is safe everywhere.
    path = PureWindowsPath(name)
    if path.drive or path.root or ".." in path.parts or not path.parts:
        raise file_error(archive, f"holds {name!r}, which lies outside of it", _REFETCH)
    return path.parts[1:] if path.parts[0] == top else path.parts


def _zip_files(archive: Path) -> Generator[Member, None, None]:
    with _reading(archive), zipfile.ZipFile(archive) as content:
        for member in content.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _special(archive, member.filename)
            if member.flag_bits & _ENCRYPTED:
                raise file_error(archive, f"is encrypted ({member.filename!r})", _REFETCH)
            if not member.is_dir():
                with content.open(member) as stream:
                    yield member.filename, stream


def _tar_files(archive: Path) -> Generator[Member, None, None]:
    with _reading(archive), tarfile.open(archive) as content:
        for member in content:
            if not (member.isfile() or member.isdir()):
                raise _special(archive, member.name)
            if (stream := content.extractfile(member)) is not None:
                with stream:
                    yield member.name, stream
        # Only at its very end does a compressed file tell its checksum.
        if content.fileobj and len(content.fileobj.read(_CHUNK)) == _CHUNK:
            raise file_error(archive, "is a broken archive (it goes on after its end)", _REFETCH)


def _special(archive: Path, name: str) -> GratisError:
    return file_error(archive, f"holds a link or a device ({name!r})", _REFETCH)
