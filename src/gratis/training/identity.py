"""What may not change between the legs of a run: its recipe and its data, by dotted path."""

from collections.abc import Mapping
from typing import TypeAlias

# Dotted path to value, both as text, such as ``train.epochs`` to ``20``.
Identity: TypeAlias = Mapping[str, str]

# How runs were trained before there were these keys, which theirs lack.
_EARLIER = {"train.compile": "false", "train.decay_all": "true"}

_SHOWN = 3


def differences(before: Identity, now: Identity) -> str:
    """Return in words what changed, the first few of it; empty where nothing did."""
    before, now = _EARLIER | dict(before), _EARLIER | dict(now)
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    shown = [
        f"{key} was {before.get(key, 'absent')}, is {now.get(key, 'absent')}"
        for key in changed[:_SHOWN]
    ]
    more = [f"and {len(changed) - _SHOWN} more"] if len(changed) > _SHOWN else []
    return "; ".join(shown + more)
