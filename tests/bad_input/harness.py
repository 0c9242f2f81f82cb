"""Runs a command on bad input and records what the user sees and what changed on disk."""

import contextlib
import io
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from gratis import cli

# The smallest training that still uses every component.
TINY = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3"),
    *("train.epochs=1", "train.held_out_per_class=1", "evaluate.images=40", "evaluate.pgd_steps=1"),
]
REPRODUCE = ["reproduce", "--out", "out", "--only", "resnet18", "--only", "free", *TINY]
# Larger files are compared by size only.
_LARGE = 10_000_000


@dataclass(frozen=True)
class Workspace:
    """An empty folder to prepare a case in; ``finished`` holds a finished reproduction."""

    folder: Path
    finished: Path

    @property
    def canary(self) -> Path:
        """The folder that a malicious file creates if it is executed."""
        return self.folder.with_name("canary")

    def out(self) -> Path:
        """Return a copy of the finished reproduction."""
        return self._copy("out")

    def run(self) -> Path:
        """Return a copy of its baseline run."""
        return self._copy("out/runs/resnet18-seed0", "run")

    def sets(self) -> Path:
        """Return a copy of its perturbed sets, beside a copy of the run."""
        self.run()
        return self._copy("out/perturbed", "sets")

    def _copy(self, what: str, name: str = "out") -> Path:
        return Path(shutil.copytree(self.finished / what, self.folder / name))


@dataclass(frozen=True)
class Case:
    """An input that is an error.

    Attributes:
        section: the section of docs/bad-input.md.
        title: a description of the input.
        prepare: creates the input and returns the command's arguments.
        expected: texts that the message must contain.
    """

    section: str
    title: str
    prepare: Callable[[Workspace], list[str]]
    expected: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.section}: {self.title}"


@dataclass(frozen=True)
class Outcome:
    """The exit code and standard error of a command, and the folder before and after it."""

    folder: Path
    code: int
    stderr: str
    before: dict[str, object]
    after: dict[str, object]

    @property
    def message(self) -> str:
        """The error message, without log messages, and with relative paths."""
        _, _, message = self.stderr.partition("error: ")
        return message.strip().replace(f"{self.folder}/", "")


def run_case(case: Case, folder: Path, finished: Path) -> Outcome:
    """Prepare ``case`` in the new ``folder`` and run its command there, in this process."""
    folder.mkdir(parents=True)
    workspace = Workspace(folder, finished)
    arguments = case.prepare(workspace)
    before = tree(folder)
    code, stderr = gratis(arguments, folder)
    return Outcome(folder, code, stderr, before, tree(folder))


def gratis(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Run a command in ``folder``; return its exit code and standard error."""
    stderr = io.StringIO()
    with (
        _in_folder(folder),
        contextlib.redirect_stderr(stderr),
        contextlib.redirect_stdout(io.StringIO()),
        mock.patch.object(sys, "argv", ["gratis", *arguments]),
        warnings.catch_warnings(action="error"),
    ):
        try:
            cli.main()
        except SystemExit as stop:
            return int(stop.code or 0), stderr.getvalue()
    return 0, stderr.getvalue()


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    cache = {"GRATIS_CACHE": str(folder.with_name("cache"))}
    with contextlib.chdir(folder), mock.patch.dict(os.environ, cache):
        yield


def tree(folder: Path) -> dict[str, object]:
    """Return every path below a folder, with its content."""
    return {str(path.relative_to(folder)): _content(path) for path in sorted(folder.rglob("*"))}


def _content(path: Path) -> object:
    if path.is_symlink() or not path.is_file():
        return path.is_dir()
    size = path.stat().st_size
    return size if size > _LARGE else path.read_bytes()


def finish(folder: Path) -> None:
    """Create in ``folder`` what the cases damage: a small reproduction of two rows."""
    code, stderr = gratis(REPRODUCE, folder)
    assert code == 0, stderr


class Trap:
    """An object whose pickle creates a folder when it is loaded."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.canary),)
