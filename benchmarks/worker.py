"""Worker processes that are stopped while it is not their turn."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

Result = TypeVar("Result")

# A forked process inherits the function to run and all imported modules.
_FORK = multiprocessing.get_context("fork")
# Seconds that a process may take to end, and between two calls of a turn's monitor.
_PATIENCE, _INTERVAL = 10.0, 0.002


class WorkerError(Exception):
    """A worker process failed; the message says why."""


class Worker(Generic[Result]):
    """A process that runs a function once a turn and is stopped between its turns.

    It is forked from a process that has imported modules and computed nothing, so that its memory
    allocator and its threads have their defaults. Its child processes are stopped with it, so
    that none of them reads ahead during another worker's turn.
    """

    def __init__(self, prepare: Callable[[], Callable[[], Result]]) -> None:
        """Store ``prepare``, which the process calls first: it returns the function of a turn."""
        self._prepare = prepare
        self._connection, self._theirs = _FORK.Pipe()
        # Not a daemon, because a daemon may not start processes.
        self._process = _FORK.Process(target=self._work, daemon=False)

    def __enter__(self) -> Self:
        """Start the process, wait until it is prepared, and stop it.

        Raises:
            WorkerError: ``prepare`` failed.
        """
        self._process.start()
        self._theirs.close()
        try:
            self._receive()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process and its children; interrupt it if the block ends with an error."""
        self._signal(signal.SIGCONT)
        if kind is not None:
            self._signal(signal.SIGINT)
        self._end()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process.pid is not None
        return self._process.pid

    def turn(self, monitor: Callable[[], None] | None = None) -> Result:
        """Run one turn and return its result; call ``monitor`` every 2 ms meanwhile.

        Raises:
            WorkerError: the turn failed, or the process died.
        """
        self._signal(signal.SIGCONT)
        self._connection.send(None)
        return self._receive(monitor)

    def _receive(self, monitor: Callable[[], None] | None = None) -> Result:
        try:
            while monitor and not self._connection.poll(_INTERVAL):
                monitor()
            problem, result = self._connection.recv()
        except EOFError as error:
            raise WorkerError("the process died") from error
        if problem is not None:
            raise WorkerError(problem)
        self._signal(signal.SIGSTOP)
        return cast(Result, result)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _end(self) -> None:
        self._connection.close()
        self._process.join(_PATIENCE)
        self._signal(signal.SIGKILL)
        self._process.join()

    def _work(self) -> None:
        """Prepare, then run one turn for each message until the connection is closed."""
        # A process group of its own, so that signals also reach its children.
        os.setpgid(0, 0)
        self._connection.close()
        try:
            do = self._prepare()
            self._theirs.send((None, None))
            while _next_turn(self._theirs):
                self._theirs.send((None, do()))
        except (KeyboardInterrupt, BrokenPipeError):
            # Interrupted, or the parent process has ended.
            return
        except Exception as error:
            traceback.print_exc()
            self._theirs.send((f"{type(error).__name__}: {error}", None))


def _next_turn(connection: Connection) -> bool:
    """Wait for a message; return ``False`` if the other end was closed instead."""
    try:
        connection.recv()
    except EOFError:
        return False
    return True


def in_own_process(do: Callable[[], Result]) -> Result:
    """Call ``do`` in a new process and return its result.

    Raises:
        WorkerError: ``do`` failed, or the process died.
    """
    with Worker(lambda: do) as worker:
        return worker.turn()
