"""What a benchmark is: sides that are measured in turn, and ratios of their figures."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

# The figures of one round by name. A side does one piece of work and returns its figures.
Figures = dict[str, float]
Side = Callable[[], Figures]


@dataclass(frozen=True)
class Conditions:
    """The conditions that all comparisons share.

    Attributes:
        root: the folder that holds Tiny ImageNet, or ``None``.
        seconds: how long each side runs in a round, where its duration is free.
        threads: the number of threads of every side.
    """

    root: Path | None
    seconds: float
    threads: int


@dataclass(frozen=True)
class Target:
    """The bound that a line should keep to."""

    bound: float
    at_most: bool

    def met(self, value: float) -> bool:
        """Return whether ``value`` keeps to the bound."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        """Return the bound as text, for example ``at most 1.5``."""
        return f"at {'most' if self.at_most else 'least'} {self.bound:g}"


def at_most(bound: float) -> Target:
    """Return the target of values up to ``bound``."""
    return Target(bound, at_most=True)


def at_least(bound: float) -> Target:
    """Return the target of values from ``bound`` up."""
    return Target(bound, at_most=False)


@dataclass(frozen=True)
class Line:
    """A line of the table: ``value`` computes it from the figures of one round."""

    name: str
    value: Callable[[Figures], float]
    target: Target | None = None


def ratio(over: str, under: str, target: Target | None = None, name: str | None = None) -> Line:
    """Return the line of ``over`` / ``under``; ``name`` replaces its default name."""
    return Line(name or f"{over} / {under}", lambda figures: figures[over] / figures[under], target)


@dataclass(frozen=True)
class Comparison:
    """A group of sides that are measured in turn, and the lines computed from them.

    Attributes:
        topic: the module's topic, as ``--only`` takes it.
        name: the name within the topic.
        unit: the unit of the figures.
        open: a context manager that prepares the sides and yields them.
        lines: the lines of the table.
        duration: seconds that a round takes, given the seconds of a side's turn.
        pick: with it, a side has many short turns in a round, and ``pick`` selects one figure of
            them. Without it, a side has one turn in a round.
        needs_data: whether Tiny ImageNet is read.
    """

    topic: str
    name: str
    unit: str
    open: Callable[[Conditions], AbstractContextManager[Sequence[Side]]]
    lines: Sequence[Line]
    duration: Callable[[float], float]
    pick: Callable[[list[float]], float] | None = None
    needs_data: bool = True

    @property
    def title(self) -> str:
        """Topic and name, as ``--only`` takes them."""
        return f"{self.topic}/{self.name}"
