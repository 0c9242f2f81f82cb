"""Import a module of the user's from the current folder, and no other module by accident."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType


class _Finder(MetaPathFinder):
    """Finds a module in a folder, and what the code in this folder imports from beside itself.

    Optional packages that a library tries to import must not be found there: any file of that name
    would run.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder.resolve(), name.partition(".")[0]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the module is, if it is one of those."""
        if path is None and (name == self._name or self._imported_here()):
            return PathFinder.find_spec(name, [str(self._folder)])
        return None

    def _imported_here(self) -> bool:
        """Return whether the code that imports is in the folder."""
        frame: FrameType | None = sys._getframe(1)
        own = {__file__, "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>"}
        while frame is not None and frame.f_code.co_filename in own:
            frame = frame.f_back
        if frame is None:
            return False
        return self._folder in Path(frame.f_code.co_filename).resolve().parents


@contextmanager
def importable(name: str) -> Iterator[None]:
    """Let Python find the module ``name`` in the current folder while the block runs.

    All other places are searched first.
    """
    finder = _Finder(Path.cwd(), name)
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
