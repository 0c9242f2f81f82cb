"""Tables of the keys of settings: what each takes, its default and its meaning."""

import inspect
import logging
import math
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import griffe
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gratis.schedule import Schedule, to_yaml
from gratis.settings import fraction

# Sphinx's references, in docstrings.
_ROLES = ":class:", ":mod:", ":func:"
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text", Path: "path"}


def tables(kind: type[BaseModel], path: str = "") -> str:
    """Return the table of ``kind``, and below it those of the settings that its keys hold."""
    known = meanings(kind)
    lines = ["| key | takes | default | meaning |", "| --- | --- | --- | --- |"]
    inner = []
    for name, field in kind.model_fields.items():
        key = f"{path}.{name}" if path else name
        settings = _settings(field.annotation)
        if settings is None:
            takes = _takes(field)
        else:
            takes = f"[keys](#{_anchor(key)})" if settings.model_fields else "no keys"
            inner.append((key, settings))
        meaning = known.get(name) or _first_line(settings)
        lines.append(f"| `{name}` | {takes} | {_default(field, settings)} | {meaning} |")
    return "\n".join(lines) + "\n" + "".join(_section(*one) for one in inner)


def meanings(kind: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of ``kind`` and its bases say about each field."""
    logging.getLogger("griffe").setLevel(logging.ERROR)
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        for section in griffe.parse_google(griffe.Docstring(inspect.cleandoc(base.__doc__ or ""))):
            if section.kind is griffe.DocstringSectionKind.attributes:
                found |= {one.name: _markdown(one.description) for one in section.value}
    return found


def _section(key: str, kind: type[BaseModel]) -> str:
    """Return the heading, the first line and the table of the settings of a key."""
    if not kind.model_fields:
        return ""
    level = "#" * min(4, 2 + key.count("."))
    words = "Exactly one of them." if key == "adversary" else _first_line(kind)
    if key == "objective":
        words = "One or more of them; the loss is their weighted sum."
    return f"\n{level} {key}\n\n{words}\n\n{tables(kind, key)}"


def _first_line(kind: type[BaseModel] | None) -> str:
    return _markdown((inspect.getdoc(kind) or "").split("\n\n")[0]) if kind else ""


def _markdown(text: str) -> str:
    """Return the text of a docstring as one line of Markdown."""
    for role in _ROLES:
        text = text.replace(role, "")
    # What Python calls None, YAML calls null.
    text = text.replace("``None``", "``null``").replace("``", "`")
    return " ".join(text.replace("|", "\\|").split())


def _anchor(key: str) -> str:
    return key.replace(".", "")


def _options(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation allows, without ``None`` and without ``Annotated``."""
    if get_origin(annotation) in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _options(one)
    elif get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif annotation is not types.NoneType:
        yield annotation


def _settings(annotation: Any) -> type[BaseModel] | None:
    """Return the settings that a key holds, or ``None`` if it holds a value."""
    for one in _options(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel) and not issubclass(one, Schedule):
            return one
    return None


def _takes(field: FieldInfo) -> str:
    """Return what a key takes, in words, with its bounds."""
    metadata = [*field.metadata, *_inner_metadata(field.annotation)]
    kinds = [_word(one, metadata) for one in _options(field.annotation)]
    bounds = [
        f"{_BOUNDS[name]} {limit:g}"
        for constraint in metadata
        for name, limit in _limits(constraint).items()
    ]
    return ", ".join([" or ".join(dict.fromkeys(kinds)), *bounds])


def _limits(constraint: Any) -> dict[str, float]:
    """Return the bounds of a constraint: pydantic's, or those of a schedule's values."""
    if "low" in (known := getattr(getattr(constraint, "func", None), "keywords", {})):
        ends = {"ge": known["low"], "le": known["high"]}
        return {name: limit for name, limit in ends.items() if math.isfinite(limit)}
    return {
        name: limit for name in _BOUNDS if (limit := getattr(constraint, name, None)) is not None
    }


def _inner_metadata(annotation: Any) -> list[Any]:
    """Return the constraints inside an optional annotation."""
    found = []
    for one in get_args(annotation):
        if get_origin(one) is Annotated:
            for constraint in get_args(one)[1:]:
                found += constraint.metadata if isinstance(constraint, FieldInfo) else [constraint]
    return found


def _word(kind: Any, metadata: list[Any]) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) in (tuple, list):
        return "list"
    if isinstance(kind, type) and issubclass(kind, Schedule):
        return "schedule"
    if any(getattr(one, "func", None) is fraction for one in metadata):
        return "fraction"
    return _WORDS.get(kind, "text")


def _default(field: FieldInfo, settings: type[BaseModel] | None) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None:
        return "none"
    if settings is not None:
        return "its own"
    if isinstance(value, Schedule):
        value = to_yaml(value)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{_number(value)}`"


def _number(value: Any) -> str:
    """Return a value as one writes it in YAML: a fraction of 255 as such."""
    if isinstance(value, float) and 0 < value < 1 and round(value * 255, 9) == int(value * 255):
        return f"{int(value * 255)}/255"
    return f"{value:g}" if isinstance(value, float) else str(value)
