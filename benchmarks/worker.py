"""A process of one's own, which stands still while it is not its turn."""

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

# Inherits what it does, whatever that is, and all that has been imported.
_FORK = multiprocessing.get_context("fork")
# In seconds: how long one may take to end, and how often it is looked at.
_PATIENCE, _INTERVAL = 10.0, 0.002


class Failed(Exception):
    """The work of a worker ended with an error."""


class Worker(Generic[Result]):
    """A process that prepares something to do and then does it, turn by turn.

    It is forked from one that has imported modules and computed nothing: its memory allocator is
    as the C library has it, and its threads as torch has them. Between its turns it is stopped
    with all processes that it has started, so that nothing works ahead in another's time.
    """

    def __init__(self, prepare: Callable[[], Callable[[], Result]]) -> None:
        """Start it when the block is entered; ``prepare`` then returns what a turn does."""
        self._prepare = prepare
        self._connection, self._theirs = _FORK.Pipe()
        # It may have processes of its own, which a daemon may not.
        self._process = _FORK.Process(target=self._work, daemon=False)

    def __enter__(self) -> Self:
        """Wait until it is prepared, and stop it.

        Raises:
            Failed: it could not prepare.
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
        """End it and its processes; in the middle of its turn, by an interrupt."""
        self._signal(signal.SIGCONT)
        if kind is not None:
            self._signal(signal.SIGINT)
        self._end()

    @property
    def pid(self) -> int:
        """Its number with the system."""
        assert self._process.pid is not None
        return self._process.pid

    def turn(self, monitor: Callable[[], None] | None = None) -> Result:
        """Let it have its turn; call ``monitor`` every two milliseconds meanwhile.

        Raises:
            Failed: it ended with an error.
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
            raise Failed("the process died") from error
        if problem is not None:
            raise Failed(problem)
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
        """Prepare, and do a turn for every message, until there are no more."""
        # So that a signal reaches its processes too; those that it starts belong to the group.
        os.setpgid(0, 0)
        self._connection.close()
        try:
            do = self._prepare()
            self._theirs.send((None, None))
            while _asked(self._theirs):
                self._theirs.send((None, do()))
        except (KeyboardInterrupt, BrokenPipeError):
            # It is not to go on, or nobody is there to be told.
            return
        except Exception as error:
            traceback.print_exc()
            self._theirs.send((f"{type(error).__name__}: {error}", None))


def _asked(connection: Connection) -> bool:
    """Wait for a message; return whether one came before the other end was closed."""
    try:
        connection.recv()
    except EOFError:
        return False
    return True


def alone(do: Callable[[], Result]) -> Result:
    """Do something once in a process of its own; return what it returned.

    Raises:
        Failed: it ended with an error.
    """
    with Worker(lambda: do) as worker:
        return worker.turn()
