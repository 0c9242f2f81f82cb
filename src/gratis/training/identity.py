"""The identity of a run: what must not change when it is resumed."""

from collections.abc import Mapping
from typing import TypeAlias

# Recipe and data by dotted path, as text, such as ``train.epochs`` to ``20``.
RunIdentity: TypeAlias = Mapping[str, str]

_SHOWN = 3


def differences(before: RunIdentity, now: RunIdentity) -> str:
    """Return a line that lists the first changes, or an empty string if there are none."""
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    listed = [
        f"{key} was {before.get(key, 'absent')}, is {now.get(key, 'absent')}"
        for key in changed[:_SHOWN]
    ]
    more = [f"and {len(changed) - _SHOWN} more"] if len(changed) > _SHOWN else []
    return "; ".join(listed + more)
