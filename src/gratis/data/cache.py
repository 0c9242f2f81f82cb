"""The cache folder, and the locks that let one process at a time write to it."""

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
    """Return the folder of downloads and decoded images: ``GRATIS_CACHE``, or the user's cache."""
    given = os.environ.get("GRATIS_CACHE")
    return Path(given or user_cache_dir("gratis")).expanduser().absolute()


@contextmanager
def cache_lock(name: str) -> Iterator[None]:
    """Hold the lock of ``name`` in the cache while the block runs, after waiting for it.

    If the cache cannot hold locks, the block runs without one: what it creates is atomic, and is
    at worst created twice.
    """
    lock = FileLock(cache_folder() / "locks" / f"{name}.lock")
    with suppress(OSError, NotImplementedError):
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            logger.info(f"waiting for another process that prepares {name}")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()
