"""The cache folder, and whose turn it is to write there."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

logger = logging.getLogger(__name__)


CACHE_REMEDY = "set the environment variable GRATIS_CACHE to a folder that can be written"


def cache_folder() -> Path:
    """Return where decoded images and downloads are kept: ``GRATIS_CACHE``, or the user's cache."""
    given = os.environ.get("GRATIS_CACHE")
    return Path(given or user_cache_dir("gratis")).expanduser().absolute()


@contextmanager
def in_turn(name: str) -> Iterator[None]:
    """Let one process at a time make ``name`` in the cache; the others wait until it is done.

    Where the cache cannot hold locks nobody waits: what is made appears whole in any case, and is
    only made twice.
    """
    lock = FileLock(cache_folder() / "locks" / f"{name}.lock")
    with suppress(OSError, NotImplementedError):
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        _wait(lock, name)
    try:
        yield
    finally:
        lock.release()


def _wait(lock: FileLock, name: str) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        logger.info(f"waiting for another process that makes {name}")
        lock.acquire()
