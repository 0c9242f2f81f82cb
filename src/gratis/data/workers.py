"""Run a function over many tasks on all cores, in processes or threads."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from gratis.data.processes import Processes

Result = TypeVar("Result")


@contextmanager
def parallel_map(
    work: Callable[[int], Result], tasks: int, ahead: int, processes: bool
) -> Iterator[Iterator[Result]]:
    """Yield an iterator over ``work(0)``, ``work(1)``, ... ``work(tasks - 1)``, in this order.

    At most ``ahead`` tasks are started before their result is read. Processes exist on Linux only.
    If they cannot be started, threads do the work; if these cannot be started either, the caller's
    thread does it. Processes are killed when the block ends, and when this process ends in any way.
    Large results of a process belong into shared memory, since they are copied otherwise.
    """
    workers = max(1, min(cores(), tasks))
    forked = Processes(work, workers if processes else 0)
    try:
        if len(forked):
            yield forked.results(tasks, ahead)
            return
        pool = _start_threads(workers)
        if pool is None:
            yield map(work, range(tasks))
            return
        try:
            yield _in_order(pool, work, tasks, ahead)
        finally:
            pool.shutdown(cancel_futures=True)
    finally:
        forked.kill()


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[int], Result], tasks: int, ahead: int
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
