"""Worker processes that end with their parent and never block each other.

Each has a connection of its own, and no queue, lock or thread is shared, unlike in the pools of the
standard library: there, a worker that is killed at the wrong moment leaves the others waiting.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any, NamedTuple

from gratis.errors import GratisError

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl.h
_START_SECONDS = 30
_READY = "ready"


class _Worker(NamedTuple):
    process: ForkProcess
    connection: Connection


class Processes:
    """Forked processes that run one function.

    The start method is fork. Spawn and forkserver import torch in every worker, which takes
    seconds, and run the caller's script again if it has no ``__main__`` guard; nor could ``work``
    be a closure. Forking beside the threads of torch is safe here, because a worker does nothing
    but decode images with Pillow and NumPy, which take none of their locks.
    """

    def __init__(self, work: Callable[[int], Any], count: int) -> None:
        """Start up to ``count`` processes; fewer if the system refuses more."""
        self._workers: list[_Worker] = []
        # A daemonic process may not have children.
        if sys.platform != "linux" or multiprocessing.current_process().daemon:
            return
        # Ctrl-C reaches the whole process group; only this process reacts, and kills its workers.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            # No more processes, descriptors or memory.
            with suppress(OSError, MemoryError):
                for _ in range(count):
                    self._workers.append(_start(work))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._workers = [worker for worker in self._workers if _is_ready(worker)]

    def __len__(self) -> int:
        """Return the number of processes."""
        return len(self._workers)

    def results(self, tasks: int, ahead: int) -> Iterator[Any]:
        """Yield the result of every task in order; up to ``ahead`` are started before that.

        Raises:
            GratisError: a process was killed.
            Exception: what a task raised.
        """
        found: dict[int, tuple[bool, Any]] = {}
        running: dict[Connection, int] = {}
        idle, started = [worker.connection for worker in self._workers], 0
        for wanted in range(tasks):
            while True:
                while idle and started < min(tasks, wanted + ahead):
                    running[_sent(idle.pop(), started)] = started
                    started += 1
                for ready in wait(list(running), 0 if wanted in found else None):
                    assert isinstance(ready, Connection)
                    found[running.pop(ready)] = _received(ready)
                    idle.append(ready)
                if wanted in found:
                    break
            succeeded, result = found.pop(wanted)
            if not succeeded:
                raise result
            yield result

    def kill(self) -> None:
        """Kill all processes."""
        for worker in self._workers:
            _end(worker)
        self._workers = []


def _start(work: Callable[[int], Any]) -> _Worker:
    here, there = multiprocessing.Pipe()
    try:
        context = multiprocessing.get_context("fork")
        process = context.Process(target=_serve, args=(work, there, os.getpid()), daemon=True)
        with warnings.catch_warnings():
            # Python 3.12 warns of a fork beside threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
    except BaseException:
        here.close()
        raise
    finally:
        # No later worker inherits it: the connection ends with this worker.
        there.close()
    return _Worker(process, here)


def _serve(work: Callable[[int], Any], connection: Connection, parent: int) -> None:
    """Run tasks in a worker process until its parent ends."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    # The parent may have ended before the call to prctl.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    connection.send(_READY)
    while True:
        task = connection.recv()
        try:
            outcome = True, work(task)
        except Exception as error:
            outcome = False, error
        connection.send(outcome)


def _is_ready(worker: _Worker) -> bool:
    """Return whether a process has started; end it if not."""
    with suppress(EOFError, OSError):
        if worker.connection.poll(_START_SECONDS) and worker.connection.recv() == _READY:
            return True
    _end(worker)
    return False


def _end(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.connection.close()


def _sent(connection: Connection, task: int) -> Connection:
    try:
        connection.send(task)
    except OSError as error:
        raise _killed() from error
    return connection


def _received(connection: Connection) -> tuple[bool, Any]:
    try:
        outcome: tuple[bool, Any] = connection.recv()
    except (EOFError, OSError) as error:
        raise _killed() from error
    return outcome


def _killed() -> GratisError:
    problem = "a process that decoded images was killed"
    return GratisError(f"{problem}; free some memory and run again")
