"""The base of all settings: strict, frozen, and with every error reported at once."""

import difflib
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from gratis.errors import GratisError

Kind = TypeVar("Kind", bound="Settings")


class Settings(BaseModel):
    """Settings that refuse an unknown key and a value of the wrong type, and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def fraction(value: object) -> object:
    """Return ``"8/255"`` or ``"1e-3"`` as a number; anything else for pydantic to judge."""
    if not isinstance(value, str):
        return value
    top, _, bottom = value.partition("/")
    try:
        return float(top) / float(bottom or 1)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{value!r} is not a number") from error


# A number that YAML may also give as a fraction, the way budgets are written: 8/255.
Fraction = Annotated[float, BeforeValidator(fraction)]


def did_you_mean(word: str, choices: list[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the choice nearest to ``word``, or the choices."""
    near = difflib.get_close_matches(word, choices, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; choose from {', '.join(sorted(choices))}" if choices else ""


def validate(kind: type[Kind], content: object, source: str) -> Kind:
    """Return ``content`` as settings of ``kind``.

    Raises:
        GratisError: with a line for every key at fault, by its dotted path.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        lines = [line for problem in error.errors() for line in _describe(problem, kind)]
        unique = list(dict.fromkeys(lines))
        if len(unique) == 1:
            raise GratisError(f"{source}: {unique[0]}") from error
        raise GratisError(
            "\n".join([f"{source}: {len(unique)} problems"] + [f"  {line}" for line in unique])
        ) from error


def _describe(problem: Any, kind: type[BaseModel]) -> Iterator[str]:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        parent = _settings_at(kind, problem["loc"][:-1])
        choices = list(parent.model_fields) if parent else []
        yield f"{path}: unknown key{did_you_mean(str(problem['loc'][-1]), choices)}"
    elif isinstance(cause := problem.get("ctx", {}).get("error"), GratisError | ValueError):
        yield f"{path}: {cause}"
    else:
        given = problem.get("input")
        shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
        yield f"{path}: {problem['msg'][0].lower()}{problem['msg'][1:]}{shown}"


def _settings_at(kind: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel] | None:
    """Follow the keys of ``location`` down to the settings that own the last of them."""
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
    """Return the settings in each module of ``package`` by the module's name.

    This is what makes a new adversary or objective one new file: the file's name is the word in
    YAML, and its one subclass of ``base`` its settings.
    """
    found = {}
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        contents = vars(importlib.import_module(f"{package}.{module.name}")).values()
        for kind in contents:
            own = getattr(kind, "__module__", "") == f"{package}.{module.name}"
            if own and isinstance(kind, type) and issubclass(kind, base) and kind is not base:
                found[module.name] = kind
    return found
