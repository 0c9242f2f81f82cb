"""The cache folder, and folders that are either whole or absent."""

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_dir

from gratis.errors import file_error

CACHE_REMEDY = "set the environment variable GRATIS_CACHE to a folder that can be written"

# A folder in the making to which nothing was written for so long belongs to a killed process.
_ABANDONED_SECONDS = 3600.0


def cache_folder() -> Path:
    """Return where decoded images and downloads are kept: ``GRATIS_CACHE``, or the user's cache."""
    given = os.environ.get("GRATIS_CACHE")
    return Path(given or user_cache_dir("gratis")).expanduser().absolute()


@contextmanager
def building(folder: Path, remedy: str) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``; on success it becomes ``folder``, else it goes.

    Where another process has made ``folder`` in the meantime, that one stays.

    Raises:
        GratisError: the folder cannot be written; the message ends with ``remedy``.
    """
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temporary.mkdir()
        yield temporary
        _rename(temporary, folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise file_error(folder, f"cannot be written ({reason})", remedy) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _sweep(folder: Path) -> None:
    """Remove what killed processes left behind while they made ``folder``."""
    for left in folder.parent.glob(f".{folder.name}.*.partial"):
        # Its owner may be done with it, and rename it, at this very moment.
        with suppress(FileNotFoundError):
            written = max(path.stat().st_mtime for path in (left, *left.glob("*")))
            if written < time.time() - _ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
