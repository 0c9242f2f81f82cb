"""Networks that a user's function returns."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType

from torch import nn

from gratis.errors import GratisError


def from_function(spec: str) -> nn.Module:
    """Return the module that a function of the user's returns; this imports and runs their code.

    Args:
        spec: ``package.module:function``. The current folder is searched last, for this module
            and for what it imports from beside itself.
    """
    name, _, attribute = spec.partition(":")
    try:
        with _importable(name):
            model = getattr(importlib.import_module(name), attribute)()
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        remedy = "name a function without arguments, as package.module:function"
        raise GratisError(f"{spec}: cannot be called ({problem}); {remedy}") from error
    if not isinstance(model, nn.Module):
        raise GratisError(f"{spec}: returns {type(model).__name__}; return a torch.nn.Module")
    return model


class _Finder(MetaPathFinder):
    """Finds a module in a folder, and what modules that were found there import.

    Optional packages that a library tries to import must not be found there: any file of that name
    would run.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._found = str(folder), {name.partition(".")[0]}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the module is, if it is one of those."""
        if path is not None or not (name in self._found or self._importer() in self._found):
            return None
        spec = PathFinder.find_spec(name, [self._folder])
        if spec is not None:
            self._found.add(name)
        return spec

    def _importer(self) -> str:
        """Return the module or package that imports."""
        frame: FrameType | None = sys._getframe(1)
        own = {__file__, "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>"}
        while frame is not None and frame.f_code.co_filename in own:
            frame = frame.f_back
        importer = "" if frame is None else frame.f_globals.get("__name__", "")
        return str(importer).partition(".")[0]


@contextmanager
def _importable(name: str) -> Iterator[None]:
    """Let Python find the module ``name`` in the current folder while the block runs.

    All other places are searched first.
    """
    finder = _Finder(Path.cwd(), name)
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
