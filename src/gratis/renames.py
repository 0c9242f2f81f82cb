"""Names that recipes and profiles used before; they are accepted for one release."""

import functools
import logging

logger = logging.getLogger(__name__)

# Recipes, rows of a table, and keys by their dotted path.
RENAMED = {
    "fast": "n-fgsm",
    "record/fast": "record/n-fgsm",
    "record-fast": "record-n-fgsm",
    "record/random-start": "record/fgsm-rs",
    "record-random-start": "record-fgsm-rs",
    "adversary.fgsm": "adversary.n_fgsm",
    "train.watch_every": "train.monitor_every",
}


def current(name: str) -> str:
    """Return the present name of ``name``, and log a warning if that is another one."""
    new = RENAMED.get(name, name)
    if new != name:
        warn_once(name, new)
    return new


@functools.cache
def warn_once(old: str, new: str) -> None:
    """Log a warning that ``old`` is now called ``new``, once in a process."""
    logger.warning("%s is now called %s; the next release refuses the old name", old, new)
