"""Locks of folders, which two processes must not use at a time."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from gratis.errors import file_error
from gratis.files import make_folder, remove_temporary_files
from gratis.regular_files import refuse_link, unwritable

logger = logging.getLogger(__name__)

LOCK = ".lock"
# What systems report where a file system has no locks, as some network file systems.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder`` while the block runs; the folder is created if it is missing.

    Temporary files that killed processes left behind in it are removed first. If the folder is
    empty at the end, it is removed.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    lock = FileLock(make_folder(folder) / LOCK)
    refuse_link(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        problem = "another process is using this folder"
        raise file_error(folder, problem, "wait for it, or choose another folder") from error
    except NotImplementedError:
        _warn_of_no_locks(folder)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise unwritable(folder / LOCK, error) from error
        _warn_of_no_locks(folder)
    try:
        remove_temporary_files(folder)
        yield
    finally:
        with suppress(OSError):
            if {path.name for path in folder.iterdir()} <= {LOCK}:
                Path(lock.lock_file).unlink(missing_ok=True)
                for path in missing:
                    path.rmdir()
        lock.release()


def is_locked(folder: Path) -> bool:
    """Return whether a process holds the lock of ``folder`` now; nothing is written."""
    path = folder / LOCK
    if path.is_symlink() or not path.is_file():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
    lock.release()
    return False


def _warn_of_no_locks(folder: Path) -> None:
    logger.warning(
        f"{folder}: this file system has no locks; make sure that no other process uses the folder"
    )
