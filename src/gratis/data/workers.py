"""Workers that decode, one for each core.

Small pictures are decoded so quickly that threads spend their time waiting for the interpreter's
lock. On Linux a process is forked in no time and knows already what to do; elsewhere it would
import everything first, and threads must do.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import contextmanager
from typing import Any, TypeVar

from gratis.errors import GratisError

Result = TypeVar("Result")

_PARENT_DEATH_SIGNAL = 1  # from Linux's prctl.h

# What a forked worker does.
_work: Callable[[int], Any]


@contextmanager
def at_work(
    work: Callable[[int], Result], tasks: Sequence[int], forked: bool
) -> Iterator[Iterator[Result]]:
    """Lend what ``work`` gives for each of ``tasks``, in their order.

    All cores work, a few tasks ahead of who reads. Where processes are wanted (``forked``) and can
    be had, they start at once, and end with this process, however it ends; they do not see
    what it changes later.

    Raises:
        GratisError: a process was killed.
    """
    workers = max(min(_cores(), len(tasks)), 1)
    processes = _fork(work, workers) if forked else None
    pool: Executor = processes or ThreadPoolExecutor(workers)
    try:
        yield _in_order(pool, _asked if processes else work, tasks, 2 * workers)
    except BrokenExecutor as error:
        problem = "a process that decoded images was killed; is there memory enough? Run again"
        raise GratisError(problem) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: Executor, work: Callable[[int], Result], tasks: Sequence[int], most: int
) -> Iterator[Result]:
    ahead: deque[Future[Result]] = deque()
    for task in tasks:
        ahead.append(pool.submit(work, task))
        # Bounded, so that a slow disk does not fill the memory.
        if len(ahead) > most:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def _cores() -> int:
    """Return how many cores this process may use."""
    # Not every system can tell.
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _fork(work: Callable[[int], Any], workers: int) -> ProcessPoolExecutor | None:
    """Return so many processes, ready to work; ``None`` where they cannot be had."""
    # A daemon may not have any.
    if sys.platform != "linux" or multiprocessing.current_process().daemon:
        return None
    others = multiprocessing.active_children()
    # Ctrl-C reaches all: it is this process that tells its workers to stop.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        fork = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(workers, fork, _begin, (os.getpid(), work))
        with warnings.catch_warnings():
            # Python warns of forks beside threads. Workers wait for nobody's lock: they decode.
            warnings.simplefilter("ignore", DeprecationWarning)
            first = pool.submit(os.getpid)
        first.result()
    # No semaphores in this system, no more processes or memory, no such call in its C library.
    except (OSError, ImportError, NotImplementedError, BrokenExecutor):
        for process in multiprocessing.active_children():
            if process not in others:
                process.kill()
        return None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pool


def _begin(parent: int, work: Callable[[int], Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _asked(task: int) -> Any:
    return _work(task)
