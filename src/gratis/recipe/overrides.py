"""``key=value`` overrides, as they are typed on the command line."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from gratis.errors import GratisError
from gratis.recipe.canonical import CHOICES, Content
from gratis.settings import brief
from gratis.yaml_files import DEEPEST, parse_value

# The keys that hold a path. It is taken as it is: a folder may be called 2024 or "my #1".
PATHS = frozenset({"data.root", "data.class_names", "model.weights"})
_QUOTES = ("'", '"')


class Override(NamedTuple):
    """One override: its text as typed, its dotted key, and its value read as YAML."""

    text: str
    key: str
    value: Any

    @property
    def content(self) -> Content:
        """The override as nested mappings."""
        content = self.value
        for part in reversed(self.key.split(".")):
            content = {part: content}
        assert isinstance(content, dict)
        return content

    @property
    def replaces(self) -> bool:
        """Whether it is a word alone, such as ``adversary=free``: it replaces, and never merges."""
        return self.key in CHOICES and isinstance(self.value, str)


def parse_overrides(texts: Iterable[str]) -> list[Override]:
    """Return the overrides that ``texts`` mean."""
    split = [(text, *text.partition("=")) for text in texts]
    wrong = [text for text, key, equals, _ in split if not equals or not all(key.split("."))]
    if wrong:
        raise GratisError(f"not of the form key=value: {', '.join(map(brief, wrong))}")
    if deep := [text for text, key, _, _ in split if key.count(".") >= DEEPEST]:
        raise GratisError(f"nested too deeply: {', '.join(map(brief, deep))}")
    return [Override(text, key, _value(text, key, value)) for text, key, _, value in split]


def with_one_length(texts: Iterable[str]) -> list[str]:
    """Return overrides that give training one length: a number of epochs, or a budget of time.

    A given ``train.epochs`` removes the budget and the least number of passes of a recipe.
    """
    texts = list(texts)
    given: dict[str, Any] = {}
    for override in parse_overrides(texts):
        settings = override.content.get("train")
        given |= settings if isinstance(settings, dict) else {}
    if given.get("epochs") is None:
        return texts
    if given.get("budget") is not None:
        raise GratisError(
            "train.epochs and the budget (--budget, train.budget) both set the length of training; "
            "give one of them"
        )
    return [*texts, "train.budget=null", "train.min_passes=null"]


def _value(text: str, key: str, value: str) -> Any:
    """Return the value as YAML; that of a path is plain text, unless it is quoted or null."""
    if key not in PATHS or value in ("", "null") or value.startswith(_QUOTES):
        return parse_value(text, value)
    return value
