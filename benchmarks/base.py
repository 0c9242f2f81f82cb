"""What a benchmark is: sides that take turns, and the lines of the table that come of them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

# What a round measured, by name. A side does a piece of its work and returns what it measured.
Figures = dict[str, float]
Side = Callable[[], Figures]


@dataclass(frozen=True)
class Conditions:
    """What every contest is held under.

    ``root`` holds Tiny ImageNet, if it is at hand; ``seconds`` is how long each side computes in
    a round, where it can choose; ``threads`` how many threads everybody computes with.
    """

    root: Path | None
    seconds: float
    threads: int


@dataclass(frozen=True)
class Wanted:
    """What a line should come to."""

    bound: float
    at_most: bool

    def reached(self, value: float) -> bool:
        """Return whether ``value`` is as wanted."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        """Return it in words."""
        return f"at {'most' if self.at_most else 'least'} {self.bound:g}"


def at_most(bound: float) -> Wanted:
    """Return the wish that a line be no greater."""
    return Wanted(bound, at_most=True)


def at_least(bound: float) -> Wanted:
    """Return the wish that a line be no less."""
    return Wanted(bound, at_most=False)


@dataclass(frozen=True)
class Line:
    """A line of the table: ``value`` makes it of a round's figures."""

    name: str
    value: Callable[[Figures], float]
    wanted: Wanted | None = None


def ratio(over: str, under: str, wanted: Wanted | None = None, name: str | None = None) -> Line:
    """Return the line of one figure over another, under its own name or theirs."""
    return Line(name or f"{over} / {under}", lambda figures: figures[over] / figures[under], wanted)


@dataclass(frozen=True)
class Contest:
    """What is compared.

    ``open`` gives the sides for as long as the contest lasts. ``unit`` is the figures'. In a
    round every side has one turn; with ``pick`` they have many short turns, of which it picks
    each figure. ``lasts`` tells about how long a round takes from how long a side computes in
    it, in seconds. ``needs_data`` is whether Tiny ImageNet is read.
    """

    evaluated: str
    name: str
    unit: str
    open: Callable[[Conditions], AbstractContextManager[Sequence[Side]]]
    lines: Sequence[Line]
    lasts: Callable[[float], float]
    pick: Callable[[list[float]], float] | None = None
    needs_data: bool = True

    @property
    def title(self) -> str:
        """EvaluatedModel and name, as ``--only`` takes them."""
        return f"{self.evaluated}/{self.name}"
