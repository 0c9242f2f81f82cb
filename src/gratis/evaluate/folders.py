"""Folders that are either whole or absent."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gratis.errors import file_error
from gratis.files import make_folder


@contextmanager
def appearing(folder: Path, content: frozenset[str]) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``; on success it becomes ``folder``, else it goes.

    What stood in ``folder`` before is replaced, but only if it is a folder of this kind.

    Args:
        folder: the folder to make.
        content: the names of the files that it may hold.

    Raises:
        GratisError: ``folder`` holds another file, or cannot be written.
    """
    folder = folder.resolve()
    _refuse_others(folder, content)
    partial = folder.with_name(f".{folder.name}.partial")
    earlier = folder.with_name(f".{folder.name}.earlier")
    for left_over in (partial, earlier):
        shutil.rmtree(left_over, ignore_errors=True)
    make_folder(partial)
    try:
        yield partial
        if folder.exists():
            folder.rename(earlier)
        partial.rename(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise file_error(
            folder, f"cannot be written ({reason})", "choose another folder"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(earlier, ignore_errors=True)


def _refuse_others(folder: Path, content: frozenset[str]) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise file_error(folder, "is not a folder", "choose another")
    others = sorted({path.name for path in folder.iterdir()} - content)
    if others:
        raise file_error(folder, f"already holds {others[0]}", "choose a new or empty folder")
