"""Functions that make schedules in Python code."""

from collections.abc import Mapping
from typing import TypeAlias

from gratis.schedule.shapes import Cosine, Linear, Schedule, Steps, WarmUp
from gratis.settings import validate

# What Python code may pass for a schedule: a number is a constant.
ScheduleLike: TypeAlias = float | Schedule


def linear(start: float, stop: float, *, begin: float = 0.0, end: float = 1.0) -> Schedule:
    """Return ``start`` until progress ``begin``, then a straight line to ``stop`` at ``end``.

    Raises:
        GratisError: a progress is not in [0, 1], or ``begin`` does not come before ``end``.
    """
    return validate(Linear, {"start": start, "stop": stop, "begin": begin, "end": end}, "linear")


def cosine(start: float, stop: float, *, begin: float = 0.0, end: float = 1.0) -> Schedule:
    """Return half a period of a cosine from ``start`` at ``begin`` to ``stop`` at ``end``.

    Raises:
        GratisError: as :func:`linear`.
    """
    return validate(Cosine, {"start": start, "stop": stop, "begin": begin, "end": end}, "cosine")


def steps(values: Mapping[float, float]) -> Schedule:
    """Return a staircase: each value holds from its progress in [0, 1] to the next.

    Raises:
        GratisError: a progress is not in [0, 1], or none is 0.
    """
    return validate(Steps, {"values": dict(values)}, "steps")


def warm_up(end: float, then: ScheduleLike, *, start: float = 0.0) -> Schedule:
    """Return a straight line from ``start`` to where ``then`` is at ``end``, then ``then``.

    Raises:
        GratisError: ``end`` is not in (0, 1].
    """
    return validate(WarmUp, {"end": end, "then": then, "start": start}, "warm_up")
