"""Stop a run after its current step on Ctrl-C, SIGTERM or SIGHUP; at once on a second Ctrl-C."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)

# Seconds within which a second signal belongs to the same keystroke.
SAME_KEYSTROKE = 0.5
# Windows has no SIGHUP, which a closed terminal and a lost connection send.
_SIGNALS = [signal.SIGINT, signal.SIGTERM, *filter(None, [getattr(signal, "SIGHUP", None)])]


class _Request:
    """Whether the user has requested to stop."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._told = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal.

        It sets a value and does nothing else: a message may fail or wait, and a lock may be held
        by the code that the signal interrupts.
        """
        now = time.monotonic()
        if self._first is None:
            self._first = now
        # Launchers may forward a signal that the terminal also sends: one keystroke, two signals.
        elif number == signal.SIGINT and now - self._first > SAME_KEYSTROKE:
            raise KeyboardInterrupt

    def __call__(self) -> bool:
        """Return whether to stop, and say so once."""
        if self._first is None:
            return False
        if not self._told:
            self._told = True
            logger.info("stopping after this step; press Ctrl-C again to quit at once")
        return True


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether to stop; signals set it while the block runs."""
    requested = _Request()
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread can handle signals.
        yield requested
        return
    # What nohup ignores stays ignored.
    heard = [number for number in _SIGNALS if not _is_ignored_hangup(number)]
    before = {number: signal.signal(number, requested.ask) for number in heard}
    try:
        yield requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_ignored_hangup(number: signal.Signals) -> bool:
    hangup = number == getattr(signal, "SIGHUP", None)
    return hangup and signal.getsignal(number) is signal.SIG_IGN
