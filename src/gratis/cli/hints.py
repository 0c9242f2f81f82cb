"""Hints for options that other tools have, and that are written as key=value here."""

import shlex
from collections.abc import Mapping, Sequence

from gratis.errors import GratisError

# The keys of an option in commands that train, and in those that only evaluate; %s is its value.
_TRAINING = {
    "--epsilon": "{adversary}evaluate.epsilon=%s",
    "--eps": "{adversary}evaluate.epsilon=%s",
    "--seed": "seed=%s",
    "--epochs": "train.epochs=%s",
    "--batch-size": "train.batch_size=%s",
    "--lr": "train.learning_rate=%s",
    "--learning-rate": "train.learning_rate=%s",
    "--classes": "data.classes=%s",
    "--size": "data.size=%s",
    "--input-size": "model.input_size=%s",
    "--weights": "model.pretrained=true model.weights=%s",
    "--model": "model.backbone=%s",
    "--backbone": "model.backbone=%s",
    "--precision": "train.precision=%s",
    "--images": "evaluate.images=%s",
    "--suite": "evaluate.suite=%s",
}
_EVALUATING = {
    "--epsilon": "evaluate.epsilon=%s",
    "--eps": "evaluate.epsilon=%s",
    "--seed": "seed=%s",
    "--images": "evaluate.images=%s",
    "--batch-size": "evaluate.batch_size=%s",
    "--steps": "evaluate.pgd_steps=%s",
    "--restarts": "evaluate.restarts=%s",
    "--classes": "data.classes=%s",
    "--size": "data.size=%s",
}
_HINTS: Mapping[str, Mapping[str, str]] = {
    "train": _TRAINING,
    "harden": _TRAINING,
    "timing": _TRAINING,
    "reproduce": _TRAINING | {"--seed": "--seeds %s", "--epsilon": "evaluate.epsilon=%s"},
    "study": _TRAINING | {"--seed": "--seeds %s", "--epsilon": "evaluate.epsilon=%s"},
    "evaluate": _EVALUATING,
    "data": {"--data": "gratis data %s", "--classes": "data.classes=%s", "--size": "data.size=%s"},
}


def refuse_options_of_others(arguments: Sequence[str], known: Mapping[str, Sequence[str]]) -> None:
    """Refuse an option that a command does not have, where another spelling means the same."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    for place, word in enumerate(arguments):
        option, equals, value = word.partition("=")
        hint = _HINTS.get(command, {}).get(option)
        if hint is None or option in known.get(command, ()):
            continue
        following = arguments[place + 1 : place + 2]
        given = value if equals else following[0] if following else "VALUE"
        if option in ("--epsilon", "--eps"):
            given = _of_255(given)
        hint = hint.format(adversary=_adversary(arguments, given)) % shlex.quote(given)
        raise GratisError(f"{command}: has no option {option}; write {hint}")


def _of_255(epsilon: str) -> str:
    """Return an epsilon that was given in whole pixel values as a fraction of 255."""
    return f"{epsilon}/255" if epsilon.isdigit() and int(epsilon) > 1 else epsilon


def _adversary(arguments: Sequence[str], value: str) -> str:
    """Return the epsilon of training as an override with a final space, where a recipe has one."""
    from gratis.packaged import recipe_path
    from gratis.yaml_files import read_yaml

    for word in arguments[1:]:
        try:
            adversary = read_yaml(recipe_path(word)).get("adversary")
        except GratisError:
            continue
        words = [adversary] if isinstance(adversary, str) else list(adversary or ())
        return "".join(f"adversary.{word}.epsilon={value} " for word in words if word != "natural")
    return ""
