"""Merge the content of recipes, profiles and overrides, key by key."""

from typing import Any

from gratis.recipe.normalisation import Content
from gratis.schedule import SHAPES

# A row without one of these lacks it on purpose, so no profile may add it.
OPTIONAL = ("adversary.", "objective.", "augment", "model.denoiser")


def merge(base: Content, over: Content, *, adds: bool = True, path: str = "") -> Content:
    """Return ``base`` with ``over`` written into it, key by key.

    A schedule is one value and is replaced as a whole.

    Args:
        base: the content to change; it stays as it is.
        over: the content to write.
        adds: whether ``over`` may add an adversary, a term of the objective, an augmentation or a
            denoiser that ``base`` lacks.
        path: the dotted path of ``base`` with a final dot; empty at the top.
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
