"""Ctrl-C and SIGTERM stop a run at the next batch; a second Ctrl-C stops it at once."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)


# Seconds within which a second signal is the first one's echo.
SAME_KEYSTROKE = 0.5


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether a stop was asked for while the block runs."""
    asked = threading.Event()
    first = 0.0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal first
        # Launchers may pass on a signal that the terminal has sent already: one keystroke, two.
        if asked.is_set() and time.monotonic() - first > SAME_KEYSTROKE:
            raise KeyboardInterrupt
        if not asked.is_set():
            first = time.monotonic()
            asked.set()
            logger.info("stopping after this batch; once more to quit at once")

    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may take signals; elsewhere nobody asks.
        yield asked.is_set
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
