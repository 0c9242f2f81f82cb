"""Processes that decode, one for each core.

Small pictures are decoded so quickly that threads spend their time waiting for the interpreter's
lock. On Linux a process is forked in no time and knows already what to do; elsewhere it would
import everything first.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

# Below that, starting them is not worth it.
_MANY = 1000
_PARENT_DEATH_SIGNAL = 1  # from Linux's prctl.h

# What a worker does, set once it is forked.
_work: Callable[[int], Any]


def worth_processes(images: int) -> bool:
    """Return whether so many images should be decoded by processes here."""
    # A daemon may not have any.
    allowed = sys.platform == "linux" and not multiprocessing.current_process().daemon
    return allowed and images >= _MANY


def processes(workers: int, work: Callable[[int], Any]) -> ProcessPoolExecutor:
    """Return workers that do ``work``, which :func:`asked` asks them for.

    They end with this process, however it ends.
    """
    fork = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(workers, fork, _begin, (os.getpid(), work))


def asked(start: int) -> Any:
    """Return what the work gives for ``start``, in a worker."""
    return _work(start)


def _begin(parent: int, work: Callable[[int], Any]) -> None:
    global _work
    _work = work
    # Ctrl-C reaches all; the parent tells its workers to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
