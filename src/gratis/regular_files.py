"""Open regular files only, and refuse links where something is written.

Folders come from strangers. To open a named pipe blocks forever, a device may never end, a file may
be larger than the memory, and a link may lead to any file of the user's.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from gratis.errors import GratisError, file_error

# Windows has none of these.
_NO_WAIT, _NO_FOLLOW = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)

# Errors of the machine and not of the file.
_SCARCE = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)


def require_readable(path: Path) -> None:
    """Check that ``path`` can be opened by a library that takes paths as text.

    Raises:
        GratisError: the path is not UTF-8.
        OSError: as :func:`open_regular`.
    """
    require_text(path)
    open_regular(path).close()


def require_text(path: Path) -> None:
    """Check that a path is text, which the format of checkpoints and JSON need."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise file_error(path, "is not UTF-8", "rename it, or choose another folder") from error


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading.

    Raises:
        OSError: it is missing, cannot be read, or is something else.
    """
    return os.fdopen(_opened(path, os.O_RDONLY), "rb")


def read_limited(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes.

    Raises:
        OSError: as :func:`open_regular`, or the file is larger.
    """
    with open_regular(path) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes", str(path))
    return content


def read_text(path: Path, limit: int, remedy: str) -> str:
    """Return the text of a regular UTF-8 file of at most ``limit`` bytes, that a user names."""
    try:
        return read_limited(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise file_error(path, "cannot be read (it is not UTF-8)", "save it as UTF-8") from error
    except OSError as error:
        raise file_error(path, f"cannot be read ({error.strerror})", remedy) from error


def open_to_change(path: Path) -> BinaryIO:
    """Open a regular file for reading and writing in place; it is created if it is missing.

    Raises:
        GratisError: ``path`` is a symbolic link.
        OSError: it cannot be written, or is something else.
    """
    refuse_link(path)
    descriptor = _opened(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW)
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EMLINK, "it has several hard links; copy it first", str(path))
    return os.fdopen(descriptor, "r+b")


def _opened(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags | _NO_WAIT | _BINARY, 0o666)
    try:
        _refuse_others(os.fstat(descriptor).st_mode, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def refuse_link(*paths: Path) -> None:
    """Refuse paths that are symbolic links, where something is to be written below them."""
    for path in paths:
        if path.is_symlink():
            problem = "is a symbolic link, and nothing is written through it"
            raise file_error(path, problem, "remove it, or put what it leads to in its place")


def unwritable(path: Path, error: OSError, remedy: str = "choose another folder") -> GratisError:
    """Return the error for a file or folder that cannot be written."""
    reason = error.strerror or str(error)
    if error.errno in _SCARCE:
        return file_error(path, f"cannot be written now ({reason})", "free some and run again")
    return file_error(path, f"cannot be written ({reason})", remedy)


def _refuse_others(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
