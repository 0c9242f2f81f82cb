"""When to save a checkpoint."""

import time

# Of the time since the leg began: what saving at the ends of epochs may cost.
_SHARE = 0.005


class SavePolicy:
    """Every so many minutes; and at the end of each epoch, while that costs under 0.5% of the time.

    When a checkpoint is saved changes nothing in what is trained.
    """

    def __init__(self, minutes: float) -> None:
        """Start the clock."""
        self._seconds = 60 * minutes
        self._begun = self._saved = time.monotonic()
        self._last = self._spent = 0.0

    def due(self, epoch_ended: bool) -> bool:
        """Return whether to save now."""
        now = time.monotonic()
        if now - self._saved > self._seconds:
            return True
        return epoch_ended and self._spent + self._last <= _SHARE * (now - self._begun)

    def note(self, started: float) -> float:
        """Remember that a checkpoint was saved since ``started``; return how long it took.

        Times are in seconds, ``started`` on the monotonic clock.
        """
        self._saved = time.monotonic()
        self._last = self._saved - started
        self._spent += self._last
        return self._last
