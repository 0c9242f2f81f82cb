"""The files that code comes from: those of libraries by version, those of the user by content."""

import functools
import sys
import sysconfig
import types
from pathlib import Path

from gratis.digests import file_digest

_PLACES = ("stdlib", "platstdlib", "purelib", "platlib")
# The folder of gratis among them.
_LIBRARIES = {Path(sysconfig.get_path(place)).resolve() for place in _PLACES} | {
    Path(__file__).resolve().parents[1]
}


def is_library(module: types.ModuleType | None) -> bool:
    """Return whether a module is built in, installed, or part of gratis.

    Its code then changes with its version only.
    """
    if module is None:
        return False
    file = getattr(module, "__file__", None)
    if file is None:
        # Modules that are built in have no file, and neither has what is typed at a prompt.
        return module.__name__.partition(".")[0] in sys.stdlib_module_names
    return not _LIBRARIES.isdisjoint(Path(file).resolve().parents)


def file_state(module: types.ModuleType) -> str:
    """Return the version of a library's module, or the digest of the file of the user's."""
    if is_library(module):
        top = sys.modules.get(module.__name__.partition(".")[0])
        return f"{module.__name__} {getattr(top, '__version__', '')}"
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_file():
        return module.__name__
    return f"{module.__name__} {_digest(file, Path(file).stat().st_mtime_ns)}"


@functools.lru_cache(maxsize=1024)
def _digest(file: str, _changed: int) -> str:
    return file_digest(Path(file))
