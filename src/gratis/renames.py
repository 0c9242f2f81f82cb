"""Names that recipes, profiles and studies used before; they are accepted for one release."""

import functools
import logging
from typing import Any

logger = logging.getLogger(__name__)

# Packaged recipes, and rows of a table.
RECIPES = {
    "fast": "n-fgsm",
    "record/fast": "record/n-fgsm",
    "record-fast": "record-n-fgsm",
    "record/random-start": "record/fgsm-rs",
    "record-random-start": "record-fgsm-rs",
}
_TRAINING = {
    "average": "ema_decay",
    "checkpoint_minutes": "checkpoint_every_minutes",
    "count": "epoch_unit",
    "decay_all": "decay_norms_and_biases",
    "held_out": "held_out_per_class",
    "log_every": "log_every_steps",
    "monitor_every": "monitor_every_epochs",
    "watch_every": "monitor_every_epochs",
}
# Keys of recipes by their dotted path. An old name is below the present name of what holds it.
KEYS = {
    "row": "order",
    "builds_on": "compare_with",
    "adversary.fgsm": "adversary.n_fgsm",
    "adversary.free.reset": "adversary.free.reset_delta",
    "data.white": "data.white_level",
    "harden.adapt": "harden.natural_training",
    **{
        f"{section}.{old}": f"{section}.{new}"
        for section in ("train", "harden.natural_training")
        for old, new in _TRAINING.items()
    },
}


def current(name: str, names: dict[str, str] = RECIPES) -> str:
    """Return the present name of ``name``, and log a warning if that is another one."""
    new = names.get(name, name)
    if new != name:
        warn_once(name, new)
    return new


def with_current_keys(content: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return the content of a file with the keys in ``names`` renamed, and log a warning for each.

    Nested keys stay. Of a key under both names, the present one counts.
    """
    renamed = {current(key, names): value for key, value in content.items() if key in names}
    return renamed | {key: value for key, value in content.items() if key not in names}


def present_path(path: str) -> str:
    """Return the present form of a key's dotted path in a stored file, without a warning."""
    parts = path.split(".")
    for depth in range(1, len(parts) + 1):
        above = ".".join(parts[:depth])
        parts[:depth] = KEYS.get(above, above).split(".")
    return ".".join(parts)


def present_names(content: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Return a stored recipe under present names, without a warning.

    Args:
        content: nested mappings.
        above: the dotted path of ``content``, which ends in a dot.
    """
    present = {}
    for key, value in content.items():
        path = present_path(f"{above}{key}")
        inner = present_names(value, f"{path}.") if isinstance(value, dict) else value
        present[path.removeprefix(above)] = inner
    return present


@functools.cache
def warn_once(old: str, new: str) -> None:
    """Log a warning that ``old`` is now called ``new``, once in a process."""
    logger.warning("%s is now called %s; the next release refuses the old name", old, new)
