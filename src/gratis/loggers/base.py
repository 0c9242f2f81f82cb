"""What every logger offers, and what it is told of a run."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gratis.loggers.lines import Entry


@dataclass(frozen=True)
class LoggedRun:
    """The run that a logger is told of.

    Attributes:
        folder: its folder, as an absolute path.
        recipe: its resolved recipe.
        recipe_text: the same as YAML.
    """

    folder: Path
    recipe: Mapping[str, Any]
    recipe_text: str


class Logger(ABC):
    """A run in one logger, open for writing.

    Attributes:
        run: its identity there, by which a resumed run continues it.
        where: where the run is, and how to look at it, in one line.
    """

    run: str
    where: str

    @classmethod
    @abstractmethod
    def target(cls, folder: Path) -> str:
        """Return where the run in ``folder`` is sent, such as the address of a server."""

    @abstractmethod
    def __init__(self, run: LoggedRun, target: str, resumed: str | None) -> None:
        """Open ``run``: the one whose identity is ``resumed``, or a new one with its recipe."""

    @abstractmethod
    def scalars(self, entries: Sequence[Entry]) -> None:
        """Send the values of several steps."""

    @abstractmethod
    def picture(self, name: str, pixels: NDArray[np.uint8], step: int, caption: str) -> None:
        """Send an image, uint8 (height, width, 3)."""

    def rolled_back(self, step: int) -> None:  # noqa: B027
        """Forget what came after ``step``, where the logger can."""

    @abstractmethod
    def close(self, complete: bool) -> None:
        """Send what is left; ``complete`` is whether the run was measured."""
