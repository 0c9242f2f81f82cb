"""A budget of time: how it is written, and how a run is kept inside it.

The plan is only ever shortened, and every schedule with it: what is left of progress is spread
over what is left of the passes. Each time is a event with its pass number, which a resumed run
reads back from its checkpoint.
"""

import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "gpuh": 3600}
# Of the budget: the pace is taken over the last part of it, and not before so much of what was
# left has been seen, since the first steps are slow; a smaller overrun is let be, lest every
# hiccup shorten the run; and what a shortened run aims at.
_WINDOW, _SEEN, _LET_BE, _AIM = 0.2, 0.1, 0.02, 0.99


def _duration(value: object) -> object:
    """Return ``"20m"`` in seconds; anything that is not text for pydantic to judge."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]*)\s*", value)
    if match is None or (match[2] or "s") not in _SECONDS:
        raise ValueError(f"{value!r} is no duration; write 90s, 20m, 1.5h or, of one GPU, 2gpuh")
    return float(match[1]) * _SECONDS[match[2] or "s"]


# Seconds, which YAML and the command line may also give as 90s, 20m, 1.5h or 2gpuh.
Duration = Annotated[float, BeforeValidator(_duration), Field(gt=0)]


@dataclass(frozen=True)
class Shortening:
    """The event, taken at ``step``, to make ``planned`` passes in all.

    ``passes`` were then done, and ``progress`` was made.
    """

    step: int
    epoch: float
    passes: float
    progress: float
    planned: float
    kind: Literal["budget"] = "budget"


@dataclass(frozen=True)
class Plan:
    """How progress follows from passes: linearly, from ``progress`` at ``passes`` to 1."""

    planned: float
    passes: float = 0.0
    progress: float = 0.0

    def at(self, passes: float) -> float:
        """Return the progress at so many passes, in [0, 1]."""
        rest = self.planned - self.passes
        if rest <= 0:
            return 1.0
        done = (passes - self.passes) / rest
        return min(1.0, self.progress + (1 - self.progress) * done)


def plan_after(events: Sequence[object], planned: float) -> Plan:
    """Return the plan in force after these events, where at first it was ``planned`` passes."""
    for event in reversed(events):
        if isinstance(event, Shortening):
            return Plan(event.planned, event.passes, event.progress)
    return Plan(planned)


class Pace:
    """Watches the clock, and says to how many passes a run must be shortened."""

    def __init__(self, budget: float, elapsed: float, passes: float) -> None:
        """Go on after ``elapsed`` of ``budget`` seconds and ``passes`` passes."""
        self._budget = budget
        self._started = time.monotonic() - elapsed
        self._marks = deque([(elapsed, passes)])

    def affordable(self, passes: float, planned: float) -> float | None:
        """Return the passes that the budget allows in all, where ``planned`` are too many.

        ``None`` means that at the pace of late they are not, or that it cannot be told yet.
        """
        now, budget = time.monotonic() - self._started, self._budget
        since, before = self._marks[0]
        if now - self._marks[-1][0] < 0.01 * budget:
            return None
        self._marks.append((now, passes))
        while now - self._marks[0][0] > _WINDOW * budget:
            self._marks.popleft()
        if now - since < _SEEN * (budget - since):
            return None
        pace = (passes - before) / (now - since)
        if pace > 0 and now + (planned - passes) / pace <= (1 + _LET_BE) * budget:
            return None
        return min(planned, passes + pace * max(0.0, _AIM * budget - now))
