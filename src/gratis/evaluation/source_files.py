"""The files that code comes from: those of libraries by version, those of the user by content."""

import contextlib
import functools
import importlib.metadata
import sys
import sysconfig
import types
from collections.abc import Iterable, Mapping
from pathlib import Path

from gratis.digests import file_digest

_PLACES = ("stdlib", "platstdlib", "purelib", "platlib")
# What the folders are called into which other interpreters, users and systems install.
_INSTALLED = {"site-packages", "dist-packages"}


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
    return not _libraries().isdisjoint(Path(file).resolve().parents)


@functools.cache
def _libraries() -> frozenset[Path]:
    """Return the folders of libraries: of this interpreter, on the path, and of gratis."""
    places = [sysconfig.get_path(place) for place in _PLACES]
    places += [path for path in sys.path if Path(path).name in _INSTALLED]
    return frozenset(
        {*(Path(place).resolve() for place in places), Path(__file__).resolve().parents[1]}
    )


def file_state(module: types.ModuleType) -> str:
    """Return the version of a library's module, or the digest of the file of the user's."""
    if is_library(module):
        return f"{module.__name__} {_version(module.__name__.partition('.')[0])}"
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_file():
        return module.__name__
    return f"{module.__name__} {_digest(file, Path(file).stat().st_mtime_ns)}"


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    return {name: version for name in names if (version := _version(name))}


@functools.cache
def _version(name: str) -> str:
    """Return the version of the package that a module belongs to; empty where there is none."""
    if name in sys.stdlib_module_names:
        return sys.version
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    # Packages whose modules have another name; looking for them takes a moment.
    found = [importlib.metadata.version(each) for each in _distributions().get(name, ())]
    return " ".join(sorted(found)) or str(getattr(sys.modules.get(name), "__version__", ""))


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


@functools.lru_cache(maxsize=1024)
def _digest(file: str, _changed: int) -> str:
    return file_digest(Path(file))
