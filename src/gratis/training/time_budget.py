"""A time budget: how it is written, and how many passes use it up.

With a budget, the number of passes follows from the pace of the run itself. Its first steps are at
progress 0, until their pace gives the first plan. The plan is corrected, in both directions, where
the pace changes. Every schedule ends with the run, because the remaining progress is spread over
the remaining passes. Each plan is an event in the log and in the checkpoint, which a resumed run
reads.
"""

import math
import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "gpuh": 3600}
# Shares of the budget: the length of the moving window in which the pace is measured, the least
# time between two plans, and the difference from the budget that is ignored.
_WINDOW, _EVERY, _TOLERANCE = 0.2, 0.03, 0.01
# The first plan needs so many steps, and so large a share of the budget or so many seconds. It
# comes after a fifth of the budget in any case.
_STEPS, _FIRST_SHARE, _FIRST_SECONDS, _LATEST = 3, 0.02, 2.0, 0.2


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
class NewPlan:
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
    """Progress as a linear function of passes: from ``progress`` at ``passes`` to 1.

    ``planned`` is infinite until the pace is known; progress then stays as it is.
    """

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
        if isinstance(event, NewPlan):
            return Plan(event.planned, event.passes, event.progress)
    return Plan(planned)


class Pace:
    """Measures how fast a run is, and tells how many passes use up its budget.

    The overfitting monitor is planned apart from the steps, because it runs rarely: its seconds
    are those of its last run or, before the first, those of as many passes as it costs.
    """

    def __init__(
        self, budget: float, elapsed: float, passes: float, monitor: float, between: float
    ) -> None:
        """Start after ``elapsed`` of ``budget`` seconds and ``passes`` passes.

        Args:
            budget: the seconds of the whole run.
            elapsed: the seconds so far.
            passes: the passes so far.
            monitor: the cost of the monitor in passes, as far as it is known in advance; 0 without
                a monitor.
            between: the passes between two runs of the monitor.
        """
        self._budget, self._between = budget, between
        self._monitor_passes, self._monitor_seconds = monitor, math.nan
        self._started = time.monotonic() - elapsed
        self._first = self._planned_at = elapsed
        self._left_out, self._steps = 0.0, 0
        # Pairs of seconds, without those of the monitor, and passes.
        self._marks = deque([(elapsed, passes)])

    def note_monitor(self, seconds: float) -> None:
        """Note how long the monitor took."""
        self._monitor_seconds = seconds
        self._left_out += seconds

    def plan(self, passes: float, planned: float, ending: float = 0.0) -> float | None:
        """Return the number of passes, in all, that use up the budget; called after every step.

        Args:
            passes: the passes so far.
            planned: the passes in all of the present plan; infinite before the first.
            ending: the seconds that the run needs after its last step, without the monitor.

        Returns:
            At least ``passes``; ``None`` if the present plan stays.
        """
        now = time.monotonic() - self._started
        self._mark(now - self._left_out, passes)
        if not self._due(now, planned):
            return None
        seconds, monitor = self._costs()
        rest = self._budget - now - ending - monitor

        def needed(until: float) -> float:
            runs = until // self._between - passes // self._between
            return (until - passes) * seconds + runs * monitor

        if abs(rest - needed(planned)) <= _TOLERANCE * self._budget:
            return None
        self._planned_at = now
        return max(passes, self._most(passes, rest, seconds, monitor))

    def _most(self, passes: float, rest: float, seconds: float, monitor: float) -> float:
        """Return the number of passes, in all, after ``rest`` more seconds."""
        before = passes // self._between
        mean = passes + rest / (seconds + monitor / self._between)
        # The true number of runs of the monitor is next to the mean one.
        runs = range(*(max(0, int(mean // self._between - before) + by) for by in (-1, 3)))
        return max(
            min(passes + (rest - run * monitor) / seconds, (before + run + 1) * self._between)
            for run in runs
        )

    def _mark(self, now: float, passes: float) -> None:
        """Note the passes at this time, and forget what lies before the window."""
        self._steps += 1
        self._marks.append((now, passes))
        while len(self._marks) > _STEPS + 1 and now - self._marks[1][0] > _WINDOW * self._budget:
            self._marks.popleft()

    def _due(self, now: float, planned: float) -> bool:
        """Return whether to plan; not before the pace can be measured."""
        (since, before), (until, after) = self._marks[0], self._marks[-1]
        if after <= before or until <= since:
            return False
        if math.isfinite(planned):
            return now - self._planned_at >= _EVERY * self._budget
        first = min(_FIRST_SHARE * self._budget, _FIRST_SECONDS)
        enough = self._steps >= _STEPS and now - self._first >= first
        return enough or now >= _LATEST * self._budget

    def _costs(self) -> tuple[float, float]:
        """Return the seconds of a pass, and of one run of the monitor."""
        (since, before), (until, after) = self._marks[0], self._marks[-1]
        seconds = (until - since) / (after - before)
        monitor = self._monitor_seconds
        return seconds, self._monitor_passes * seconds if math.isnan(monitor) else monitor
