"""Overrides with several values: one row of a table for each."""

import copy
import re

from gratis.errors import GratisError
from gratis.recipe.draft import Draft
from gratis.recipe.overrides import PATHS, Override, parse_overrides
from gratis.settings import brief

# What stands between a row's name and its values, such as in ``free@epsilon-2-255``.
SEPARATOR = "@"
# All rows of a table are measured alike.
_SHARED = ("data", "evaluate", "seed")


def with_each_value(text: str) -> list[Override]:
    """Return an override for each value of ``key=value,value``; one for a single value.

    Raises:
        GratisError: a value is empty, given twice, or the key is one that all rows share; or as
            :func:`gratis.recipe.overrides.parse_overrides`.
    """
    key, _, value = text.partition("=")
    if "," not in value or key in PATHS or value.lstrip()[:1] in ("[", "{", "'", '"'):
        return parse_overrides([text])
    values = [each.strip() for each in value.split(",")]
    if not all(values) or len(set(values)) < len(values):
        raise GratisError(f"{brief(text)}: needs different values, separated by commas")
    if key.partition(".")[0] in _SHARED:
        raise GratisError(f"{brief(text)}: all rows of a table share {key}; give one value")
    return parse_overrides([f"{key}={each}" for each in values])


def vary(drafts: dict[str, Draft], overrides: list[Override]) -> dict[str, Draft]:
    """Return the rows, with a row for each value in place of those that have the key.

    The others build on the first of them, and only that can be the baseline.
    """
    varied: dict[str, Draft] = {}
    for name, draft in drafts.items():
        copies = [copy.deepcopy(draft) for _ in overrides]
        pairs = list(zip(copies, overrides, strict=True))
        if not all([each.override(override, adds=False) for each, override in pairs]):
            varied[name] = draft
            continue
        first = _named(name, overrides[0])
        for each, override in pairs:
            _rename(each, name, override, first)
            varied[_named(name, override)] = each
    if varied.keys() == drafts.keys():
        raise GratisError(f"{overrides[0].text}: no recipe has this key")
    return varied


def _named(row: str, override: Override) -> str:
    value = override.text.partition("=")[2]
    plain = re.sub(r"[^\w.]+", "-", f"{_word(override)}-{value}").strip("-")
    return f"{row}-{plain}" if SEPARATOR in row else f"{row}{SEPARATOR}{plain}"


def _rename(draft: Draft, row: str, override: Override, first: str) -> None:
    name, content = _named(row, override), draft.content
    content["name"] = name
    value = override.text.partition("=")[2]
    content["title"] = f"{content.get('title', row)}, {_word(override)} {value}"
    if name != first:
        content |= {"compare_with": first, "baseline": False}


def _word(override: Override) -> str:
    return override.key.rpartition(".")[2].replace("_", " ")
