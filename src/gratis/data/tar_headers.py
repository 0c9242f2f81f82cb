"""Bounded reading of tar archives, whose headers can otherwise take any amount of memory."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from gratis.regular_files import open_regular

# A header that gives a name, which no system allows to be longer. Contents are read in smaller
# pieces.
_LONGEST_READ = 2**16
# The headers of all members, at 512 bytes each and some more for long names.
_ALL_HEADERS = 2**28
_MOST_GLOBAL = 100


class _Reader(io.RawIOBase):
    """A stream that refuses headers which are too long, one by one or all together."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left, self.in_content = stream, _ALL_HEADERS, False

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= _LONGEST_READ:
            raise tarfile.ReadError("a header is too long")
        if not self.in_content:
            self._left -= size
            if self._left < 0:
                raise tarfile.ReadError("its headers are too long")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


class Tar:
    """A tar archive, plain or compressed with gzip, that is read member by member."""

    def __init__(
        self, content: tarfile.TarFile, stream: IO[bytes], reader: _Reader, compressed: bool
    ) -> None:
        """Take what :func:`open_tar` opened."""
        self._content, self._stream, self._reader = content, stream, reader
        self.compressed = compressed

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Yield the members, without keeping them in memory.

        Raises:
            tarfile.ReadError: the archive is broken, or its headers are too long.
        """
        for member in self._content:
            if len(self._content.pax_headers) > _MOST_GLOBAL:
                raise tarfile.ReadError("it has too many global headers")
            yield member
            members: list[tarfile.TarInfo] = vars(self._content)["members"]
            members.clear()

    def extract(self, member: tarfile.TarInfo, folder: Path) -> None:
        """Write a regular file below ``folder``."""
        self._reader.in_content = True
        self._content.extract(member, folder, set_attrs=False, filter="data")
        self._reader.in_content = False

    def read(self, member: tarfile.TarInfo) -> bytes:
        """Return the content of a regular file of at most 64 KiB."""
        self._reader.in_content = True
        # The object of ``extractfile`` takes longer to make than a small file to read. The next
        # header is sought by its own offset.
        self._reader.seek(member.offset_data)
        content = self._reader.read(member.size)
        self._reader.in_content = False
        if len(content) < member.size:
            raise tarfile.ReadError("unexpected end of data")
        return content

    def rest(self, size: int) -> bytes:
        """Return up to ``size`` bytes after the last member."""
        return self._stream.read(size)


@contextmanager
def open_tar(path: Path) -> Iterator[Tar]:
    """Open a tar archive.

    Raises:
        OSError: it cannot be read.
        tarfile.ReadError: it is none.
    """
    with open_regular(path) as file:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream: Any = gzip.GzipFile(fileobj=file) if compressed else file
        reader = _Reader(stream)
        with tarfile.open(fileobj=reader, mode="r:") as content:
            yield Tar(content, stream, reader, compressed)
