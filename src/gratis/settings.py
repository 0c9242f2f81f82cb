"""The base class of all settings: strict and frozen, with every error reported at once."""

import difflib
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Mapping
from numbers import Real
from os import PathLike, fspath
from pathlib import Path
from typing import Annotated, Any, TypeGuard, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from gratis.errors import GratisError, file_error, printable

Kind = TypeVar("Kind", bound="Settings")

_INTEGERS = 2**63
_SHOWN, _LINE, _LONGEST_LINE = 60, 500, 2_000
# The number at the end of the message about a value out of range.
_REFUSED_NUMBER = re.compile(r"(?:, not |\(got '?)(\d+(?:\.\d+)?)(?:'?\))?$")


class Settings(BaseModel):
    """Immutable settings that refuse unknown keys and values of the wrong type."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_boolean_as_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse ``epochs: yes``: YAML reads it as true, and pydantic takes true as 1."""
        if isinstance(value, bool):
            annotation = cls.model_fields[str(info.field_name)].annotation
            if bool not in (annotation, *get_args(annotation)):
                raise ValueError(f"must not be {str(value).lower()}")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _refuse_large_integer(cls, value: object) -> object:
        """Refuse integers that no tensor can hold: they would fail late, or never finish."""
        if isinstance(value, int) and not -_INTEGERS <= value < _INTEGERS:
            raise ValueError("must fit into 64 bits")
        return value


def _line(text: str) -> str:
    if len(text) > _LONGEST_LINE:
        raise ValueError(f"must be at most {_LONGEST_LINE:,} characters")
    if printable(text) != text:
        raise ValueError("must be one line of text without control characters")
    return text


# Text for tables and terminals.
Line = Annotated[str, AfterValidator(_line)]


def brief(value: object) -> str:
    """Return the ``repr`` of a value, cut to a length that fits an error message."""
    return _cut(repr(value), _SHOWN)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a real number, also one of NumPy."""
    return isinstance(value, Real) and not isinstance(value, bool)


def fraction(value: object) -> object:
    """Return ``"8/255"`` or ``"1e-3"`` as a number, and what is no text unchanged.

    Raises:
        ValueError: the text is not a number or a fraction, or the value is a boolean.
    """
    if isinstance(value, bool):
        raise ValueError(f"must not be {str(value).lower()}")
    if not isinstance(value, str):
        return value
    top, slash, bottom = value.partition("/")
    try:
        return float(top) / float(bottom if slash else 1)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{brief(value)} is not a number") from error


# A number that YAML may also give as a fraction, such as an epsilon of 8/255.
Fraction = Annotated[float, BeforeValidator(fraction)]


def absolute(path: Path) -> Path:
    """Return the absolute path, with ``~`` expanded, so that a run can resume from any folder.

    Raises:
        GratisError: the path names a user who does not exist, or is not UTF-8 text.
    """
    try:
        if "\0" in str(path):
            raise file_error(path, "is not a valid path")
        str(path).encode()
        return path.expanduser().absolute()
    except UnicodeEncodeError as error:
        raise file_error(path, "is not UTF-8", "rename it") from error
    except RuntimeError as error:
        raise file_error(path, "names the home folder of an unknown user") from error


def override(key: str, value: object) -> str:
    """Return ``key=value`` as the command line takes it.

    Raises:
        GratisError: JSON cannot hold the value.
    """
    try:
        # JSON is YAML, whatever characters a path contains.
        return f"{key}={json.dumps(value, default=_plain)}"
    except TypeError as error:
        raise GratisError(f"{key}: {brief(value)} is not a value of a setting") from error


def overrides_of(values: Mapping[str, object]) -> list[str]:
    """Return the override of every key whose value is not ``None``."""
    return [override(key, value) for key, value in values.items() if value is not None]


def _plain(value: Any) -> object:
    if isinstance(value, PathLike):
        return fspath(value)
    if getattr(value, "shape", None) == ():  # a number of NumPy or torch
        return value.item()
    raise TypeError


def did_you_mean(word: str, choices: list[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the choice nearest to ``word``, or all choices."""
    near = difflib.get_close_matches(word, choices, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; choose from {', '.join(sorted(choices))}" if choices else ""


def validate(kind: type[Kind], content: object, source: str) -> Kind:
    """Return ``content`` as settings of ``kind``.

    Raises:
        GratisError: ``source``, and one line for every wrong key, by its dotted path.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        unique = problems(error, kind)
        if len(unique) == 1:
            raise GratisError(f"{source}: {unique[0]}") from error
        listed = [f"  {line}" for line in unique]
        raise GratisError(f"{source}: {len(unique)} problems", *listed) from error


def problems(error: ValidationError, kind: type[BaseModel], *above: str) -> list[str]:
    """Return one line for every wrong key of ``kind``, by its dotted path below ``above``."""
    lines: dict[str, None] = {}
    for problem in error.errors():
        path = ".".join(str(part) for part in (*above, *problem["loc"]))
        line = printable((f"{path}: " if path else "") + _describe(problem, kind))
        lines[_cut(line, _LINE) + _epsilon_hint(path, line)] = None
    return list(lines)


def _epsilon_hint(path: str, line: str) -> str:
    """Return how to write an epsilon that was given in whole pixel values."""
    found = _REFUSED_NUMBER.search(line)
    if "epsilon" not in path or found is None or not 1 < float(found[1]) <= 255:
        return ""
    return f"; pixel values are in [0, 1], so write {found[1]}/255"


def _describe(problem: Any, kind: type[BaseModel]) -> str:
    if problem["type"] == "extra_forbidden":
        parent = _settings_at(kind, problem["loc"][:-1])
        choices = list(parent.model_fields) if parent else []
        return f"unknown key{did_you_mean(str(problem['loc'][-1]), choices)}"
    if isinstance(cause := problem.get("ctx", {}).get("error"), GratisError | ValueError):
        return str(cause)
    given = problem.get("input")
    given_text = f" (got {brief(given)})" if isinstance(given, str | int | float | bool) else ""
    return f"{problem['msg'][0].lower()}{problem['msg'][1:]}{given_text}"


def _settings_at(kind: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel] | None:
    """Return the settings that have the last key of ``location``, if they are settings."""
    for part in location:
        field = kind.model_fields.get(str(part))
        if field is None:
            return None
        options = [field.annotation, *getattr(field.annotation, "__args__", ())]
        found = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if not found:
            return None
        kind = found[0]
    return kind


def discover(package: str, base: type[Kind]) -> dict[str, type[Kind]]:
    """Return the subclass of ``base`` in each module of ``package``, by the module's name.

    A new adversary or term of the objective is therefore one new file: the file's name is the
    word in YAML, and the subclass holds its settings.
    """
    found = {}
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        name = f"{package}.{module.name}"
        for kind in vars(importlib.import_module(name)).values():
            defined_here = isinstance(kind, type) and kind.__module__ == name
            if defined_here and issubclass(kind, base) and not inspect.isabstract(kind):
                found[module.name] = kind
    return found
