"""Run a function over many tasks on all cores, in processes or threads."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from typing import Any, TypeVar

from gratis.errors import GratisError

Result = TypeVar("Result")

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl.h
_START_SECONDS = 30

# The function that a worker process runs.
_work: Callable[[int], Any]


@contextmanager
def parallel_map(
    work: Callable[[int], Result], tasks: int, ahead: int, processes: bool
) -> Iterator[Iterator[Result]]:
    """Yield an iterator over ``work(0)``, ``work(1)``, ... ``work(tasks - 1)``, in this order.

    Processes exist on Linux only. If they cannot be started, threads do the work; if these cannot
    be started either, the caller's thread does it. Processes are killed when the block ends, and
    when this process ends in any way.

    Args:
        work: a function of the task's number. What a process returns must be small: if one is
            killed while it sends a result of more than a few kilobytes, the pool waits for the
            rest without end. Large results belong into shared memory.
        tasks: the number of tasks.
        ahead: the number of tasks that may be started before their result is read.
        processes: whether to use processes; if not, threads.

    Raises:
        GratisError: a worker process was killed.
    """
    workers = max(1, min(cores(), tasks))
    pool = (_start_processes(work, workers) if processes else None) or _start_threads(workers)
    if pool is None:
        yield map(work, range(tasks))
        return
    function = work if isinstance(pool, ThreadPoolExecutor) else _run
    try:
        yield _in_order(pool, function, tasks, ahead)
    except BrokenExecutor as error:
        problem = "a process that decoded images was killed; free some memory and run again"
        raise GratisError(problem) from error
    finally:
        _kill_workers(pool)
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _in_order(
    pool: Executor, work: Callable[[int], Result], tasks: int, ahead: int
) -> Iterator[Result]:
    started: deque[Future[Result]] = deque()
    for task in range(tasks):
        if len(started) == ahead:
            yield started.popleft().result()
        started.append(pool.submit(work, task))
    while started:
        yield started.popleft().result()


def _start_threads(workers: int) -> ThreadPoolExecutor | None:
    """Return a pool whose threads all run, or ``None`` if they cannot be started."""
    pool, barrier = ThreadPoolExecutor(workers), threading.Barrier(workers)
    try:
        for future in [pool.submit(barrier.wait) for _ in range(workers)]:
            future.result()
    except (RuntimeError, MemoryError):
        barrier.abort()
        pool.shutdown(cancel_futures=True)
        return None
    return pool


def _start_processes(work: Callable[[int], Any], workers: int) -> ProcessPoolExecutor | None:
    """Return a pool of processes that are ready to work, or ``None`` if none can be started.

    The start method is fork. Spawn and forkserver import torch in every worker, which takes
    seconds, and run the caller's script again if it has no ``__main__`` guard; nor could ``work``
    be a closure. Forking beside the threads of torch is safe here, because a worker does nothing
    but decode images with Pillow and NumPy, which take none of their locks.
    """
    # A daemonic process may not have children.
    if sys.platform != "linux" or multiprocessing.current_process().daemon:
        return None
    fork = multiprocessing.get_context("fork")
    # Ctrl-C reaches the whole process group; only this process reacts, and kills its workers.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pool = None
    try:
        pool = ProcessPoolExecutor(workers, fork, _initialise, (os.getpid(), work))
        with warnings.catch_warnings():
            # Python 3.12 warns of a fork beside threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            first = pool.submit(os.getpid)
        # If the pool's own threads cannot start, no result ever arrives.
        if wait([first], _START_SECONDS).done and first.exception() is None:
            return pool
    # No semaphores, no more processes, threads or memory, or no prctl in the C library.
    except (OSError, ImportError, RuntimeError, MemoryError):
        pass
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if pool is not None:
        _kill_workers(pool)
        pool.shutdown(wait=False, cancel_futures=True)
    return None


def _initialise(parent: int, work: Callable[[int], Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    # The parent may have ended before the call to prctl.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _run(task: int) -> Any:
    return _work(task)


def _kill_workers(pool: Executor) -> None:
    """Kill the processes of a pool, as ``kill_workers`` of Python 3.14 does.

    An orderly shutdown waits forever if a worker was killed while it held the lock of the queue
    from which the others read that they should stop.
    """
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()
        process.join()
