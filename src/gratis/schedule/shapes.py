"""The shapes of schedules, and how YAML writes them."""

import math
from abc import abstractmethod
from functools import partial
from typing import Annotated, Any, Self

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

from gratis.settings import Fraction, Settings, brief, did_you_mean, fraction, is_number, problems

Progress = Annotated[float, Field(ge=0, le=1)]


class Schedule(Settings):
    """A number that depends on training progress."""

    @abstractmethod
    def __call__(self, t: float) -> float:
        """Return the value at progress ``t`` in [0, 1]."""

    @abstractmethod
    def bounds(self) -> list[float]:
        """Return values whose least and greatest bound every value of the schedule."""


class Constant(Schedule):
    """The same value at every progress."""

    value: Fraction

    def __call__(self, t: float) -> float:
        """Return the value."""
        return self.value

    def bounds(self) -> list[float]:
        """Return the value."""
        return [self.value]


class Linear(Schedule):
    """A straight line from ``start`` at progress ``begin`` to ``stop`` at ``end``.

    Before ``begin`` the value is ``start``, after ``end`` it is ``stop``.
    """

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
        return _between(self.start, self.stop, self._eased(self._fraction(t)))

    def bounds(self) -> list[float]:
        """Return both ends."""
        return [self.start, self.stop]

    def _fraction(self, t: float) -> float:
        return min(1.0, max(0.0, (t - self.begin) / (self.end - self.begin)))

    def _eased(self, done: float) -> float:
        return done


class Cosine(Linear):
    """Half a period of a cosine from ``start`` to ``stop``: slow at both ends."""

    def _eased(self, done: float) -> float:
        return (1 - math.cos(math.pi * done)) / 2


def _between(start: float, stop: float, done: float) -> float:
    """Return the value at ``done``, in [0, 1], of the way; rounding never passes the ends."""
    value = start + (stop - start) * done
    return min(max(value, min(start, stop)), max(start, stop))


class Steps(Schedule):
    """A staircase: each value holds from its progress to the next."""

    values: dict[Progress, Fraction]

    @field_validator("values")
    @classmethod
    def _from_the_start(cls, values: dict[float, float]) -> dict[float, float]:
        if 0 not in values:
            raise ValueError("must have a value from 0")
        return dict(sorted(values.items()))

    def __call__(self, t: float) -> float:
        """Return the value of the last step at or before ``t``."""
        return [value for begin, value in self.values.items() if begin <= t][-1]

    def bounds(self) -> list[float]:
        """Return every value."""
        return list(self.values.values())


class WarmUp(Schedule):
    """A straight line from ``start`` to the value of ``then`` at ``end``, and then ``then``."""

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
    """Return the schedule of a YAML value: a number, a fraction, or a shape by its word.

    Raises:
        ValueError: it is none of them, or the shape's keys or values are wrong.
    """
    if isinstance(content, Schedule):
        return content
    content = fraction(content)
    if is_number(content):
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
    except OverflowError:  # an integer of any size
        value = math.inf
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def to_yaml(schedule: Schedule) -> Any:
    """Return the YAML value that :func:`parse` turns into ``schedule``."""
    if isinstance(schedule, Constant):
        return schedule.value
    word = next(word for word, shape in SHAPES.items() if type(schedule) is shape)
    body = schedule.model_dump()
    return {word: body["values"] if isinstance(schedule, Steps) else body}


# A field that takes a number or a schedule.
Scheduled = Annotated[
    InstanceOf[Schedule], BeforeValidator(parse), PlainSerializer(to_yaml, return_type=Any)
]


def within(low: float, high: float = math.inf) -> AfterValidator:
    """Return a validator for ``Scheduled`` that refuses values outside [low, high]."""
    return AfterValidator(partial(refuse_outside, low=low, high=high))


def refuse_outside(schedule: Schedule, low: float, high: float) -> Schedule:
    """Return the schedule.

    Raises:
        ValueError: it has values outside [low, high].
    """
    for value in schedule.bounds():
        if not low <= value <= high:
            upper = "" if high == math.inf else f" and at most {high:g}"
            raise ValueError(f"must be at least {low:g}{upper}, not {value:g}")
    return schedule


WarmUp.model_rebuild()
