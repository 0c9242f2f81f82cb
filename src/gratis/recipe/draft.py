"""From YAML to settings: each layer is normalised and merged, and the result validated."""

import re
from collections.abc import Iterable
from typing import Any

from gratis.errors import GratisError
from gratis.recipe.canonical import Content, normalise
from gratis.recipe.norms import in_new_norm, of_same_norm
from gratis.recipe.overrides import Override, parse_overrides
from gratis.schedule import SHAPES
from gratis.settings import Kind, validate

# A row without one of these lacks it on purpose, so no profile may add it.
OPTIONAL = ("adversary.", "objective.", "augment", "model.denoiser")


class Draft:
    """Content of settings while layers are merged into it: a file, a profile, overrides.

    Every layer is normalised first. All methods raise a GratisError for a layer that
    :func:`gratis.recipe.canonical.normalise` refuses.
    """

    def __init__(self, content: Content) -> None:
        """Begin with the content of a file."""
        self.content, self._renamed = normalise(content)
        self._before, self._given = self.content, Content()

    def resize(self, layer: Content) -> None:
        """Merge a layer of a profile, which adds no optional part."""
        same_norm = of_same_norm(self.content, self._normalise(layer))
        self.content = self._before = merge(self.content, same_norm, adds=False)

    def override(self, override: Override, *, adds: bool = True) -> bool:
        """Merge an override, and return whether there was a place for its key."""
        content = self._normalise(override.content, keep_null=override.value is None)
        self._given = merge(self._given, content)
        if override.replaces:
            self.content = self.content | content
            return True
        # An object that equals nothing shows whether anything is written, whatever the value.
        arrives = merge(self.content, _marked(content), adds=adds) != self.content
        self.content = merge(self.content, content, adds=adds)
        return arrives

    def override_all(self, texts: Iterable[str]) -> "Draft":
        """Merge ``key=value`` overrides, and return this draft."""
        for override in parse_overrides(texts):
            self.override(override)
        return self

    def validated(self, kind: type[Kind], source: str) -> Kind:
        """Return the settings of ``kind``."""
        try:
            content = in_new_norm(self._before, self._given, self.content)
            return validate(kind, content, source)
        except GratisError as error:
            message = str(error)
            for present, written in self._renamed.items():
                message = re.sub(rf"\b{re.escape(present)}\b", written, message)
            raise GratisError(*message.splitlines()) from error

    def _normalise(self, layer: Content, keep_null: bool = False) -> Content:
        content, renamed = normalise(layer, keep_null)
        self._renamed |= renamed
        return content


def _marked(value: Any) -> Any:
    """Return nested mappings with an object that equals nothing in place of every value."""
    if isinstance(value, dict) and value:
        return {key: _marked(inner) for key, inner in value.items()}
    return object()


def merge(base: Content, over: Content, *, adds: bool = True, path: str = "") -> Content:
    """Return ``base`` with ``over`` written into it, key by key; a schedule is replaced as a whole.

    ``adds`` says whether ``over`` may add an adversary, a term of the objective, an augmentation or
    a denoiser that ``base`` lacks. ``path`` is the dotted path of ``base`` with a final dot; empty
    at the top.
    """
    merged = dict(base)
    for key, value in over.items():
        old, here = base.get(key), f"{path}{key}"
        if old is None and not adds and (here in OPTIONAL or path in OPTIONAL):
            continue
        if isinstance(value, dict) and not _is_schedule(value) and (old or not adds):
            inner = old if isinstance(old, dict) and not _is_schedule(old) else {}
            value = merge(inner, value, adds=adds, path=f"{here}.")
        merged[key] = value
    return merged


def _is_schedule(value: dict[Any, Any]) -> bool:
    """Return whether a value is a schedule; ``{steps: 7}`` is not, but settings of PGD."""
    return any(word in SHAPES and isinstance(body, dict) for word, body in value.items())
