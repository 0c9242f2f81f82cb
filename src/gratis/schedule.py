"""Progress to number: how epsilon, replays, rates and weights change through training.

Progress ``t`` is passes done / passes planned, in [0, 1]. In YAML a schedule is a plain number
(or a fraction such as ``8/255``), or one key that names its shape::

    epsilon: 8/255
    epsilon: {linear: {start: 0, stop: 8/255, begin: 0.2, end: 0.8}}
    replays: {steps: {0: 1, 0.5: 2, 0.75: 4}}
    learning_rate: {warm_up: {end: 0.1, then: {cosine: {start: 0.1, stop: 0}}}}
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)

from gratis.settings import (
    Fraction,
    Settings,
    brief,
    did_you_mean,
    fraction,
    problems,
    validate,
)

Progress = Annotated[float, Field(ge=0, le=1)]


class Schedule(Settings):
    """A number that depends on training progress."""

    @abstractmethod
    def __call__(self, t: float) -> float:
        """Return the value at progress ``t`` in [0, 1]."""

    @abstractmethod
    def bounds(self) -> list[float]:
        """Return values between which, and never beyond, the schedule moves."""


class Constant(Schedule):
    """The same value throughout."""

    value: Fraction

    def __call__(self, t: float) -> float:
        """Return the value."""
        return self.value

    def bounds(self) -> list[float]:
        """Return the value."""
        return [self.value]


class Linear(Schedule):
    """``start`` until ``begin``, then in a straight line to ``stop``, reached at ``end``."""

    start: Fraction
    stop: Fraction
    begin: Progress = 0.0
    end: Progress = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.begin >= self.end:
            raise ValueError(f"begin ({self.begin:g}) must come before end ({self.end:g})")
        return self

    def __call__(self, t: float) -> float:
        """Return the value at progress ``t``."""
        return _between(self.start, self.stop, self._shape(self._share(t)))

    def bounds(self) -> list[float]:
        """Return both ends."""
        return [self.start, self.stop]

    def _share(self, t: float) -> float:
        return min(1.0, max(0.0, (t - self.begin) / (self.end - self.begin)))

    def _shape(self, share: float) -> float:
        return share


class Cosine(Linear):
    """As linear, but slow at both ends: half a period of a cosine."""

    def _shape(self, share: float) -> float:
        return (1 - math.cos(math.pi * share)) / 2


def _between(start: float, stop: float, share: float) -> float:
    """Return what lies at ``share`` of the way; rounding must not lead beyond the ends."""
    value = start + (stop - start) * share
    return min(max(value, min(start, stop)), max(start, stop))


class Steps(Schedule):
    """A staircase: each value holds from its progress to that of the next."""

    values: dict[Progress, Fraction]

    @field_validator("values")
    @classmethod
    def _from_the_start(cls, values: dict[float, float]) -> dict[float, float]:
        if 0 not in values:
            raise ValueError("steps must say what holds from 0")
        return dict(sorted(values.items()))

    def __call__(self, t: float) -> float:
        """Return the value of the last step that ``t`` has reached."""
        return [value for begin, value in self.values.items() if begin <= t][-1]

    def bounds(self) -> list[float]:
        """Return every value."""
        return list(self.values.values())


class WarmUp(Schedule):
    """In a straight line from ``start`` to where ``then`` stands at ``end``, then as ``then``."""

    end: Annotated[float, Field(gt=0, le=1)]
    then: "Scheduled"
    start: Fraction = 0.0

    def __call__(self, t: float) -> float:
        """Return the value at progress ``t``."""
        if t >= self.end:
            return self.then(t)
        return _between(self.start, self.then(self.end), t / self.end)

    def bounds(self) -> list[float]:
        """Return the start and the bounds of what follows."""
        return [self.start, *self.then.bounds()]


SHAPES: dict[str, type[Schedule]] = {
    "linear": Linear,
    "cosine": Cosine,
    "steps": Steps,
    "warm_up": WarmUp,
}


def parse(content: object) -> Schedule:
    """Return the schedule that a YAML value means.

    Raises:
        ValueError: it is neither a number nor one of the shapes.
    """
    if isinstance(content, Schedule):
        return content
    content = fraction(content)
    if isinstance(content, int | float):
        return Constant(value=_finite(content))
    if not isinstance(content, dict) or len(content) != 1:
        raise ValueError(f"must be a number or one of {', '.join(SHAPES)}, not {brief(content)}")
    ((word, body),) = content.items()
    if word not in SHAPES:
        raise ValueError(f"unknown schedule {brief(word)}{did_you_mean(str(word), list(SHAPES))}")
    try:
        return SHAPES[word].model_validate({"values": body} if word == "steps" else body)
    except ValidationError as error:
        if word == "steps":
            lines = [line.replace("values", word, 1) for line in problems(error, Steps)]
        else:
            lines = problems(error, SHAPES[word], word)
        raise ValueError("; ".join(lines)) from error


def _finite(number: float) -> float:
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def to_yaml(schedule: Schedule) -> Any:
    """Return the YAML value from which :func:`parse` makes ``schedule`` again."""
    if isinstance(schedule, Constant):
        return schedule.value
    word = next(word for word, shape in SHAPES.items() if type(schedule) is shape)
    body = schedule.model_dump()
    return {word: body["values"] if isinstance(schedule, Steps) else body}


# A field that takes a number or a schedule.
Scheduled = Annotated[
    InstanceOf[Schedule], BeforeValidator(parse), PlainSerializer(to_yaml, return_type=Any)
]


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


def within(low: float, high: float = math.inf) -> AfterValidator:
    """Return the check that a schedule stays from ``low`` to ``high`` throughout.

    Use it as ``Annotated[Scheduled, within(0, 1)]``.
    """

    def check(schedule: Schedule) -> Schedule:
        for value in schedule.bounds():
            if not low <= value <= high:
                upper = "" if high == math.inf else f" and at most {high:g}"
                raise ValueError(f"must be at least {low:g}{upper}, not {value:g}")
        return schedule

    return AfterValidator(check)


WarmUp.model_rebuild()
