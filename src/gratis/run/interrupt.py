"""Stop a run after its current step on Ctrl-C or SIGTERM; at once on a second Ctrl-C."""

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


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether to stop; signals set it while the block runs."""
    requested = threading.Event()
    first = 0.0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal first
        # Launchers may forward a signal that the terminal also sends: one keystroke, two signals.
        if requested.is_set() and time.monotonic() - first > SAME_KEYSTROKE:
            raise KeyboardInterrupt
        if not requested.is_set():
            first = time.monotonic()
            requested.set()
            logger.info("stopping after this step; press Ctrl-C again to quit at once")

    if threading.current_thread() is not threading.main_thread():
        # Only the main thread can handle signals.
        yield requested.is_set
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requested.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
