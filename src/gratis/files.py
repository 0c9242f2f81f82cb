"""Atomic files and folders."""

import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from gratis.errors import file_error
from gratis.regular_files import unwritable

# The suffix of the temporary folder in which a file or a folder is written.
_FILE, _FOLDER = ".file.partial", ".partial"
# What the temporary folder of a folder holds: the new folder, the old one, and the writer's lock.
_NEW, _OLD, _WRITER = "new", "old", "writer.lock"


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path; the file written there replaces ``path`` if the block succeeds.

    The file is flushed to disk first. If the block fails, ``path`` is unchanged. A symbolic link
    at ``path`` is replaced, not followed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary_folder(path, _FILE) as folder:
            temporary = folder / path.name
            yield temporary
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def atomic_folder(
    folder: Path, remedy: str = "choose another folder", replaces: frozenset[str] | None = None
) -> Iterator[Path]:
    """Yield an empty temporary folder; it becomes ``folder`` if the block succeeds.

    If the block fails, ``folder`` is unchanged. A symbolic link at ``folder`` is replaced, not
    followed. Temporary folders that killed processes left behind are removed first. An existing
    ``folder`` that holds no other names than ``replaces`` is replaced; by default it is kept, and
    the new one is discarded. ``remedy`` ends the error message if ``folder`` cannot be written.
    """
    # Not resolved: a link must be replaced, not followed.
    folder = Path(os.path.abspath(folder))
    try:
        if replaces is not None:
            _refuse_others(folder, replaces)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _recover(folder)
        with _temporary_folder(folder, _FOLDER) as temporary, FileLock(temporary / _WRITER):
            (temporary / _NEW).mkdir()
            yield temporary / _NEW
            _swap(temporary, folder, keep=replaces is None)
            flush_folder(folder.parent)
    except OSError as error:
        raise unwritable(folder, error, remedy) from error


@contextmanager
def _temporary_folder(path: Path, suffix: str) -> Iterator[Path]:
    """Yield a new folder beside ``path``, from where a rename to ``path`` is atomic.

    Only this folder is private to the user; what is created in it has the usual permissions.
    """
    with tempfile.TemporaryDirectory(
        suffix, f".{path.name}.", path.parent, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


def _refuse_others(folder: Path, known: frozenset[str]) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise file_error(folder, "is not a folder", "choose another")
    others = sorted({path.name for path in folder.iterdir()} - known)
    if others:
        raise file_error(folder, f"already holds {others[0]}", "choose a new or empty folder")


def _swap(temporary: Path, folder: Path, keep: bool) -> None:
    """Rename the new folder to ``folder``; with ``keep`` an existing one stays."""
    try:
        if not keep and folder.exists():
            folder.rename(temporary / _OLD)
        (temporary / _NEW).rename(folder)
    except OSError:
        if not (keep and folder.is_dir()):
            raise
    finally:
        _restore(temporary, folder)


def _restore(temporary: Path, folder: Path) -> None:
    """Move the old folder back if nothing has taken its place."""
    old = temporary / _OLD
    if old.exists() and not folder.exists():
        old.rename(folder)


def _recover(folder: Path) -> None:
    """Clean up after killed processes that were writing ``folder``."""
    for temporary in folder.parent.glob(f".{glob.escape(folder.name)}.*{_FOLDER}"):
        writer = temporary / _WRITER
        # The folder of a stranger may lead to another one.
        if temporary.is_symlink() or writer.is_symlink():
            continue
        with suppress(Timeout, FileNotFoundError):
            # A process creates its temporary folder a moment before it locks it.
            if not writer.exists() and time.time() - temporary.stat().st_mtime < 60:
                continue
            with FileLock(writer, timeout=0):
                _restore(temporary, folder)
            shutil.rmtree(temporary, ignore_errors=True)


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files in ``folder`` that killed processes left behind."""
    for left in folder.glob(f".*{_FILE}"):
        shutil.rmtree(left, ignore_errors=True)


def flush_to_disk(stream: IO[Any]) -> None:
    """Flush what was written to the disk itself, so that it survives a power failure."""
    stream.flush()
    os.fsync(stream.fileno())


def flush_folder(folder: Path) -> None:
    """Flush a folder to disk, so that renames in it survive a power failure."""
    # Not every system can open or flush folders.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_folder(path: Path) -> Path:
    """Return ``path`` after creating it and checking that it can be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
