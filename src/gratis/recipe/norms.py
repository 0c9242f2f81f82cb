"""An epsilon belongs to a norm: 8/255 is much in L-infinity, and nothing as a length in L2.

An L-infinity epsilon of a recipe or a profile therefore never becomes one of an adversary in L2.
"""

from collections.abc import Mapping
from typing import Any

from gratis.errors import GratisError
from gratis.recipe.canonical import Content

_SIZES = ("epsilon", "step_size")


def of_same_norm(base: Content, layer: Content) -> Content:
    """Return a profile's layer without the epsilon and the step size of adversaries in L2.

    Args:
        base: what the layer is merged into; it says in which norm its adversary attacks.
        layer: what a profile sets. It is kept whole where it sets the norm itself.
    """
    adversaries = _mapping(layer.get("adversary"))
    kept = {
        word: _without_sizes(body)
        if _norm(base, word) == "l2" and "norm" not in _mapping(body)
        else body
        for word, body in adversaries.items()
    }
    return layer | {"adversary": kept} if adversaries else layer


def in_new_norm(before: Content, given: Content, content: Content) -> Content:
    """Return content whose adversaries that overrides moved to L2 have no epsilon of before.

    The default then is that of the evaluation in L2.

    Args:
        before: the content without overrides.
        given: the overrides.
        content: the content with overrides.

    Raises:
        GratisError: the epsilon of before is a schedule, whose shape would be lost.
    """
    adversaries = dict(_mapping(content.get("adversary")))
    for word, body in adversaries.items():
        if _norm(content, word) != "l2" or _norm(before, word) == "l2":
            continue
        own = _mapping(_mapping(given.get("adversary")).get(word))
        inherited = [key for key in _SIZES if key not in own and _mapping(body).get(key)]
        if "epsilon" in inherited and isinstance(body["epsilon"], dict):
            raise GratisError(
                f"adversary.{word}.norm: the recipe's schedule of epsilon is in L-infinity; give "
                f"one in L2, such as adversary.{word}.epsilon="
                "'{linear: {start: 0, stop: 0.5, end: 0.6}}'"
            )
        adversaries[word] = _without(body, inherited)
    return content | {"adversary": adversaries} if adversaries else content


def _norm(content: Content, word: str) -> Any:
    return _mapping(_mapping(content.get("adversary")).get(word)).get("norm", "linf")


def _without_sizes(body: Any) -> Any:
    return _without(body, _SIZES)


def _without(body: Any, keys: Any) -> Any:
    return {k: v for k, v in body.items() if k not in keys} if isinstance(body, dict) else body


def _mapping(value: object) -> Mapping[str, Any]:
    """Return the value, or an empty mapping if it is none: validation refuses it later."""
    return value if isinstance(value, dict) else {}
