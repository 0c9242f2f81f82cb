"""Unpack zip and tar archives safely: inside the folder, no links, and within limits."""

import errno
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PureWindowsPath

from gratis.data.tar_headers import open_tar
from gratis.errors import GratisError, file_error
from gratis.progress import track
from gratis.regular_files import open_regular
from gratis.settings import brief

# Tiny ImageNet and CIFAR unpack to less than half a gigabyte.
_LIMIT = 4 * 2**30
# Tiny ImageNet has 121,000 members, four folders deep.
_MOST, _DEEPEST, _LONGEST_NAME = 150_000, 16, 1_000
_CHUNK = 2**20
_ENCRYPTED = 1
_REMEDY = "delete it and fetch the original archive"


def extract(archive: Path, folder: Path, top: str, limit: int = _LIMIT) -> None:
    """Unpack a zip or tar archive into the empty ``folder``, without its leading folder ``top``.

    Raises:
        GratisError: the archive is broken or encrypted, unpacks to more than ``limit`` bytes, has
            more members or deeper folders than any data set, or holds a link, a device, two members
            of one name, or one that lies outside ``folder``.
        OSError: ``folder`` cannot be written.
    """
    unpack = _unpack_zip if archive.suffix == ".zip" else _unpack_tar
    with one_line(archive):
        unpack(_Members(archive, folder, top, limit))


@contextmanager
def one_line(archive: Path) -> Iterator[None]:
    """Turn the many errors of reading a broken archive into one clear line."""
    try:
        yield
    except GratisError:
        raise
    # zlib.error, struct.error, EOFError, UnicodeDecodeError, RuntimeError and others.
    except Exception as error:
        # An error number comes from writing, except that of a seek to a wrong offset.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise file_error(archive, f"is a broken archive ({reason})", _REMEDY) from error


class _Members:
    """The checks of an archive's members before they are written."""

    def __init__(self, archive: Path, folder: Path, top: str, limit: int) -> None:
        self.archive, self.folder = archive, folder
        self.title = f"Unpacking {archive.name}"
        self._top, self._limit, self._left = top, limit, limit

    def refuse_many(self, number: int) -> None:
        """Refuse an archive with more members than any data set."""
        if number > _MOST:
            raise self.refusal(f"has more than {_MOST:,} members")

    def checked(self, name: str, size: int, regular: bool) -> str:
        """Return the path below the folder for a member of ``size`` bytes."""
        if not regular:
            raise self.refusal(f"holds a link, a device or a sparse file ({brief(name)})")
        # Both formats write as many bytes as the member's header says, or fail.
        self._left -= max(size, 0)
        if self._left < 0:
            raise self.refusal(f"unpacks to more than {self._limit} bytes")
        # Windows rules cover both separators, drives and roots: what passes is safe everywhere.
        path = PureWindowsPath(name)
        if path.drive or path.root or ".." in path.parts or not path.parts or "\0" in name:
            raise self.refusal(f"holds {brief(name)}, which lies outside its folder")
        if len(path.parts) > _DEEPEST or len(name) > _LONGEST_NAME:
            raise self.refusal(f"holds folders that are nested too deeply ({brief(name)})")
        parts = path.parts[1:] if path.parts[0] == self._top else path.parts
        target = self.folder.joinpath(*parts)
        # Looked up on disk, since some file systems ignore case.
        if target.exists() or any(p.is_file() for p in target.parents[: len(parts) - 1]):
            raise self.refusal(f"holds {brief(name)} twice, or as a file and as a folder")
        return "/".join(parts)

    def refusal(self, problem: str) -> GratisError:
        """Return an error about the archive."""
        return file_error(self.archive, problem, _REMEDY)


def _unpack_zip(members: _Members) -> None:
    with open_regular(members.archive) as stream, zipfile.ZipFile(stream) as content:
        members.refuse_many(len(content.infolist()))
        files = [member for member in content.infolist() if not member.is_dir()]
        for member in track(files, members.title):
            if member.flag_bits & _ENCRYPTED:
                raise members.refusal(f"is encrypted ({brief(member.filename)})")
            regular = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG)
            member.filename = members.checked(member.filename, member.file_size, regular)
            content.extract(member, members.folder)


def _unpack_tar(members: _Members) -> None:
    with open_tar(members.archive) as content:
        for number, member in zip(count(1), track(content, members.title), strict=False):
            members.refuse_many(number)
            if not member.isdir():
                regular = member.isfile() and not member.issparse()
                member.name = members.checked(member.name, member.size, regular)
                content.extract(member, members.folder)
        # A compressed file has its checksum at its end.
        if len(content.rest(_CHUNK)) == _CHUNK:
            raise members.refusal("is a broken archive (it has data after its end)")
