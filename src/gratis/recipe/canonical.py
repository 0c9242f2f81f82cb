"""One form for the words of recipes, profiles and overrides, before they are merged."""

from typing import Any, TypeAlias

from gratis.errors import GratisError
from gratis.renames import KEYS, current, warn_once

Content: TypeAlias = dict[str, Any]

# The keys that hold settings by a word: {free: {replays: 4}}, or the word alone.
CHOICES = ("adversary", "objective")


def normalise(content: Content, keep_null: bool = False) -> tuple[Content, dict[str, str]]:
    """Return ``content`` with every choice as a mapping, and under present names only.

    Values of the wrong type stay as they are, for the validation to refuse. With ``keep_null`` a
    word with null is a choice to remove, instead of the word's defaults. Also returns, for every
    renamed key, its present dotted path and the written one.
    """
    renamed: dict[str, str] = {}
    choices = {
        part: _by_word(value, keep_null) if part in CHOICES else value
        for part, value in content.items()
    }
    return _with_present_names("", choices, renamed), renamed


def _by_word(choice: object, keep_null: bool) -> object:
    """Return a word alone, or one without a value, as the mapping that it means."""
    if isinstance(choice, str):
        return {choice: {}}
    if isinstance(choice, dict) and not keep_null:
        return {word: {} if body is None else body for word, body in choice.items()}
    return choice


def _with_present_names(above: str, settings: Content, renamed: dict[str, str]) -> Content:
    """Return settings under present names; ``above`` is their dotted path with a final dot."""
    result: Content = {}
    for key, value in settings.items():
        written = f"{above}{key}"
        if written == "adversary.fgsm" and isinstance(value, dict):
            present, value = _fgsm(value)
        else:
            present = current(written, KEYS)
        if present != written:
            renamed[present] = written
            key = present.removeprefix(above)
            if key in settings:
                raise GratisError(f"{written} is now called {present}; remove one of the two")
        if isinstance(value, dict):
            value = _with_present_names(f"{present}.", value, renamed)
        result[key] = value
    return result


def _fgsm(body: Content) -> tuple[str, Content]:
    """Return the present path and settings of the adversary that was called fgsm."""
    project = body.get("project", False)
    body = {key: value for key, value in body.items() if key != "project"}
    if project is False:
        return current("adversary.fgsm", KEYS), body
    # The step was epsilon by default; that of fgsm_rs is 1.25 epsilon.
    if body.get("step_size") is None:
        body["step_size"] = body.get("epsilon")
    if project is not True or body.pop("noise", None) != 1 or body["step_size"] is None:
        raise GratisError(
            "adversary.fgsm.project: only {noise: 1, project: true} with a step_size has an "
            "equivalent, fgsm_rs; write adversary: fgsm_rs, or n_fgsm without project"
        )
    warn_once("adversary.fgsm with project: true", "adversary.fgsm_rs")
    return "adversary.fgsm_rs", body
