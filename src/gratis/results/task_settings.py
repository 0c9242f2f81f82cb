"""The settings of evaluation tasks, as reports read them from stored results."""

from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from gratis.settings import Line, Settings, problems

# An L2 norm may be above 1; no image has more than so many pixels.
_Bound = Annotated[float, Field(ge=0, le=1e6)]
_Count = Annotated[int, Field(ge=0, le=10**9)]


class _Attack(Settings, extra="ignore"):
    epsilon: _Bound
    norm: Line = "linf"
    steps: _Count
    restarts: _Count
    random_start: bool
    loss: Line


class _TaskSettings(Settings, extra="ignore"):
    """What reports read; a task has the settings of its kind and maybe others."""

    attack: _Attack | None = None
    part: Line | None = None
    epsilon: _Bound | None = None
    norm: Line | None = None
    draws: _Count | None = None
    degrees: _Bound | None = None
    shift: _Bound | None = None
    kind: Line | None = None
    severity: Annotated[int, Field(ge=0, le=100)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.draws is not None and (self.degrees is None or self.shift is None):
            raise ValueError("draws needs degrees and shift")
        if self.severity is not None and self.kind is None:
            raise ValueError("severity needs kind")
        return self


def known_settings(content: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a task after checking those that reports read.

    Raises:
        ValueError: one has another type or is out of range.
    """
    try:
        _TaskSettings.model_validate(content)
    except ValidationError as error:
        raise ValueError("; ".join(problems(error, _TaskSettings))) from error
    # Named and without a value is another way to say that there is none.
    return {key: value for key, value in content.items() if value is not None}
