"""When to save a checkpoint."""

import time

from gratis.ranks import of_first

# The share of the time that saving at the ends of epochs may take.
_SHARE = 0.005


class SavePolicy:
    """Save after so many minutes, and at the end of an epoch if all saving takes under 0.5%.

    When checkpoints are saved does not change what is trained.

    Attributes:
        last: the seconds that the last checkpoint took.
    """

    def __init__(self, minutes: float) -> None:
        """Start the clock."""
        self._seconds = 60 * minutes
        self._started = self._saved = time.monotonic()
        self.last = self._spent = 0.0

    def due(self, epoch_ended: bool) -> bool:
        """Return whether to save now."""
        return of_first(self._due(epoch_ended))

    def _due(self, epoch_ended: bool) -> bool:
        now = time.monotonic()
        if now - self._saved > self._seconds:
            return True
        return epoch_ended and self._spent + self.last <= _SHARE * (now - self._started)

    def note(self, started: float) -> float:
        """Note that a checkpoint was saved; return the seconds since ``started``.

        ``started`` is on the monotonic clock.
        """
        self._saved = time.monotonic()
        self.last = self._saved - started
        self._spent += self.last
        return self.last
