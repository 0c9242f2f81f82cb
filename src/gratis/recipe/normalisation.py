"""One form for the words of recipes, profiles and overrides, before they are merged."""

from typing import Any, NamedTuple, TypeAlias

from gratis.errors import GratisError
from gratis.renames import current, warn_once

Content: TypeAlias = dict[str, Any]

# The keys that hold settings by a word: {free: {replays: 4}}, or the word alone.
CHOICES = ("adversary", "objective")


class Normalised(NamedTuple):
    """YAML content in its one form.

    Attributes:
        content: every choice is a mapping from words to mappings, and every name is the present
            one.
        renamed: the present dotted path to the one that the user wrote, where they differ.
    """

    content: Content
    renamed: dict[str, str]


def normalise(content: Content) -> Normalised:
    """Return ``content`` with words alone as mappings, and old names replaced.

    Values of the wrong type stay as they are, for the validation to refuse.

    Raises:
        GratisError: a key is given under its old and its present name, or an old setting has no
            equivalent.
    """
    renamed: dict[str, str] = {}
    normal = dict(content)
    for part, value in content.items():
        if part in CHOICES:
            value = _by_word(value)
        if isinstance(value, dict):
            value = _with_present_names(part, value, renamed)
        normal[part] = value
    return Normalised(normal, renamed)


def _by_word(choice: object) -> object:
    """Return a word alone, or one without a value, as the mapping that it means."""
    if isinstance(choice, str):
        return {choice: {}}
    if isinstance(choice, dict):
        return {word: {} if body is None else body for word, body in choice.items()}
    return choice


def _with_present_names(part: str, settings: Content, renamed: dict[str, str]) -> Content:
    result: Content = {}
    for key, value in settings.items():
        old = f"{part}.{key}"
        new, value = _fgsm(value) if old == "adversary.fgsm" else (current(old), value)
        if new != old:
            renamed[new] = old
            key = new.removeprefix(f"{part}.")
            if key in settings:
                raise GratisError(f"{old} is now called {new}; remove one of the two")
        result[key] = value
    return result


def _fgsm(body: object) -> tuple[str, object]:
    """Return the path and the settings of what ``adversary.fgsm`` is now."""
    if not isinstance(body, dict) or body.get("project", False) is False:
        rest = {k: v for k, v in body.items() if k != "project"} if isinstance(body, dict) else body
        return current("adversary.fgsm"), rest
    rest = {key: value for key, value in body.items() if key not in ("project", "noise")}
    # Its step was epsilon by default; that of fgsm_rs is 1.25 epsilon.
    step_size = rest.get("step_size", rest.get("epsilon"))
    if body["project"] is not True or body.get("noise") != 1 or step_size is None:
        raise GratisError(
            "adversary.fgsm.project: only {noise: 1, project: true} with a step_size has an "
            "equivalent, fgsm_rs; write adversary: fgsm_rs, or n_fgsm without project"
        )
    warn_once("adversary.fgsm with project: true", "adversary.fgsm_rs")
    return "adversary.fgsm_rs", rest | {"step_size": step_size}
