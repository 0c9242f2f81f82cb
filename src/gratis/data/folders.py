"""The cache folder."""

import os
from pathlib import Path

from platformdirs import user_cache_dir

CACHE_REMEDY = "set the environment variable GRATIS_CACHE to a folder that can be written"


def cache_folder() -> Path:
    """Return where decoded images and downloads are kept: ``GRATIS_CACHE``, or the user's cache."""
    given = os.environ.get("GRATIS_CACHE")
    return Path(given or user_cache_dir("gratis")).expanduser().absolute()
