"""A budget of time: how it is written, and how a run stays within it.

A run that is too slow gets fewer passes, and its schedules end with them: the remaining progress
is spread over the remaining passes. Each change is an event in the log and in the checkpoint,
which a resumed run reads.
"""

import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "gpuh": 3600}
# The length of the moving window in which the pace is measured, as a share of the budget.
_WINDOW = 0.2
# The first measurement, as a share of the remaining time: the first steps are slow.
_FIRST_LOOK = 0.1
# The overrun that is ignored, as a share of the budget.
_TOLERANCE = 0.02
# The share of the budget that a shortened run aims at.
_AIM = 0.99


def _duration(value: object) -> object:
    """Return ``"20m"`` in seconds; pydantic checks what is not text."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]*)\s*", value)
    if match is None or (match[2] or "s") not in _SECONDS:
        raise ValueError(f"{value!r} is not a duration; write 90s, 20m, 1.5h or, of one GPU, 2gpuh")
    return float(match[1]) * _SECONDS[match[2] or "s"]


# Seconds; YAML and the command line also take 90s, 20m, 1.5h or 2gpuh.
Duration = Annotated[float, BeforeValidator(_duration), Field(gt=0)]


@dataclass(frozen=True)
class Shortening:
    """The event, at ``step``, that the run gets ``planned`` passes in all.

    At that moment ``passes`` were done, at training progress ``progress``.
    """

    step: int
    epoch: float
    passes: float
    progress: float
    planned: float
    kind: Literal["budget"] = "budget"


@dataclass(frozen=True)
class Plan:
    """Progress as a linear function of passes: from ``progress`` at ``passes`` to 1."""

    planned: float
    passes: float = 0.0
    progress: float = 0.0

    def progress_at(self, passes: float) -> float:
        """Return the progress after so many passes, in [0, 1]."""
        rest = self.planned - self.passes
        if rest <= 0:
            return 1.0
        done = (passes - self.passes) / rest
        return min(1.0, self.progress + (1 - self.progress) * done)


def plan_after(events: Sequence[object], planned: float) -> Plan:
    """Return the plan after these events, for a run that first had ``planned`` passes."""
    for event in reversed(events):
        if isinstance(event, Shortening):
            return Plan(event.planned, event.passes, event.progress)
    return Plan(planned)


class Pace:
    """Measures how fast a run is and tells how many passes its budget allows."""

    def __init__(self, budget: float, elapsed: float, passes: float) -> None:
        """Start after ``elapsed`` of ``budget`` seconds and ``passes`` passes."""
        self._budget = budget
        self._started = time.monotonic() - elapsed
        self._marks = deque([(elapsed, passes)])

    def affordable(self, passes: float, planned: float) -> float | None:
        """Return the number of passes that the budget allows in all, if that is below ``planned``.

        ``None`` means that the planned passes fit, or that the pace is not known yet.
        """
        now, budget = time.monotonic() - self._started, self._budget
        since, before = self._marks[0]
        if now - self._marks[-1][0] < 0.01 * budget:
            return None
        self._marks.append((now, passes))
        while now - self._marks[0][0] > _WINDOW * budget:
            self._marks.popleft()
        if now - since < _FIRST_LOOK * (budget - since):
            return None
        pace = (passes - before) / (now - since)
        if pace > 0 and now + (planned - passes) / pace <= (1 + _TOLERANCE) * budget:
            return None
        return min(planned, passes + pace * max(0.0, _AIM * budget - now))
