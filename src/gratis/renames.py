"""Names that recipes and profiles used before; they are accepted for one release."""

import functools
import logging
from typing import Any

logger = logging.getLogger(__name__)

# Recipes, rows of a table, and keys by their dotted path.
RENAMED = {
    "fast": "n-fgsm",
    "record/fast": "record/n-fgsm",
    "record-fast": "record-n-fgsm",
    "record/random-start": "record/fgsm-rs",
    "record-random-start": "record-fgsm-rs",
    "adversary.fgsm": "adversary.n_fgsm",
    "adversary.free.reset": "adversary.free.reset_delta",
    "train.average": "train.ema_decay",
    "train.count": "train.epoch_unit",
    "train.decay_all": "train.decay_norms_and_biases",
    "train.held_out": "train.held_out_per_class",
    "train.watch_every": "train.monitor_every",
}


def current(name: str) -> str:
    """Return the present name of ``name``, and log a warning if that is another one."""
    new = RENAMED.get(name, name)
    if new != name:
        warn_once(name, new)
    return new


def present_path(path: str) -> str:
    """Return the present form of a key's dotted path in a stored file, without a warning."""
    parts = path.split(".")
    for depth in range(2, len(parts) + 1):
        above = ".".join(parts[:depth])
        parts[:depth] = RENAMED.get(above, above).split(".")
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
