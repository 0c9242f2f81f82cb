"""Files and folders that are either whole or absent."""

import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gratis.errors import GratisError, file_error

LOCK = ".lock"
_EARLIER = ".earlier"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it becomes ``path``, else it goes.

    Raises:
        GratisError: the folder cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError, remedy: str = "choose another folder") -> GratisError:
    return file_error(path, f"cannot be written ({error.strerror or error})", remedy)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def flush_folder(folder: Path) -> None:
    """Make sure that what was renamed in ``folder`` stays so if the power fails."""
    # Not every system opens folders, or flushes them.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from working in ``folder``, which is made where it is missing.

    What killed processes left half-written in it is removed; if nothing is in it at the end, so
    is the folder.

    Raises:
        GratisError: another process is at work in it, or it cannot be written.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    lock = FileLock(make_folder(folder) / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        problem = "another process is at work in this folder"
        raise file_error(folder, problem, "wait for it, or choose another folder") from error
    try:
        for left in folder.glob(".*.partial"):
            if left.is_file():
                left.unlink(missing_ok=True)
        yield
    finally:
        with suppress(OSError):
            if {path.name for path in folder.iterdir()} <= {LOCK}:
                Path(lock.lock_file).unlink(missing_ok=True)
                for path in missing:
                    path.rmdir()
        lock.release()


@contextmanager
def appearing(
    folder: Path, remedy: str = "choose another folder", replaces: frozenset[str] | None = None
) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``; on success it becomes ``folder``, else it goes.

    What killed processes left behind while they made ``folder`` is removed.

    Args:
        folder: the folder to make.
        remedy: how the message ends where it cannot be written.
        replaces: the names of all that an earlier ``folder`` may hold to be replaced. Without
            them a ``folder`` that another process has made in the meantime stays.

    Raises:
        GratisError: ``folder`` cannot be written, or holds something that ``replaces`` lacks.
    """
    folder = folder.resolve()
    made = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    earlier, lock = made.with_suffix(f"{_EARLIER}.partial"), _owner(made)
    try:
        if replaces is not None:
            _refuse_others(folder, replaces)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        lock.acquire(blocking=False)
        made.mkdir()
        yield made
        if replaces is not None and folder.exists():
            folder.rename(earlier)
        _rename(made, folder, stays=replaces is None)
        flush_folder(folder.parent)
    except OSError as error:
        if earlier.exists() and not folder.exists():
            earlier.rename(folder)
        raise _unwritable(folder, error, remedy) from error
    finally:
        for left in (made, earlier):
            shutil.rmtree(left, ignore_errors=True)
        _disown(lock)


def _owner(made: Path) -> FileLock:
    """Return the lock that a process holds while it makes this folder."""
    return FileLock(
        made.with_name(made.name.removesuffix(".partial").removesuffix(_EARLIER) + LOCK)
    )


def _disown(lock: FileLock) -> None:
    lock.release()
    with suppress(OSError):
        Path(lock.lock_file).unlink(missing_ok=True)


def _refuse_others(folder: Path, known: frozenset[str]) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise file_error(folder, "is not a folder", "choose another")
    others = sorted({path.name for path in folder.iterdir()} - known)
    if others:
        raise file_error(folder, f"already holds {others[0]}", "choose a new or empty folder")


def _rename(made: Path, folder: Path, stays: bool) -> None:
    try:
        made.rename(folder)
    except OSError:
        # Another process was faster.
        if not (stays and folder.is_dir()):
            raise


def _sweep(folder: Path) -> None:
    """Clear up after killed processes: what is still being made has a lock that is held.

    A folder that was moved aside, and for which none came in its place, comes back.
    """
    start = f".{glob.escape(folder.name)}.*"
    for left in (*folder.parent.glob(f"{start}.partial"), *folder.parent.glob(f"{start}{LOCK}")):
        lock = _owner(left) if left.suffix != LOCK else FileLock(left)
        with suppress(Timeout):
            lock.acquire(blocking=False)
            if left.name.endswith(f"{_EARLIER}.partial") and not folder.exists():
                left.rename(folder)
            elif left.suffix != LOCK:
                shutil.rmtree(left, ignore_errors=True)
            _disown(lock)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, all or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Write ``content`` as indented JSON, all or nothing."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, remedy: str = "delete this file and run again") -> Any:
    """Read a JSON file; where it is damaged, the message ends with ``remedy``.

    Raises:
        GratisError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise file_error(path, "does not exist") from error
    except (OSError, ValueError, RecursionError) as error:
        raise file_error(path, f"is not readable JSON ({error})", remedy) from error


def make_folder(path: Path) -> Path:
    """Create ``path`` and make sure that it can be written.

    Raises:
        GratisError: it cannot be created or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{os.getpid()}.probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error
    return path
