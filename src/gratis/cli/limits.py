"""Limits on memory, processes and threads: how they show, and how gratis works within them."""

import _thread
import errno
import os
import threading

from gratis.errors import printable

_MEMORY = (
    "out of memory; lower train.batch_size or evaluate.batch_size, choose a smaller model, or "
    "raise the limit on memory (ulimit -v)"
)
_PROCESSES = "no more threads or processes can be started; raise the limit (ulimit -u) or end some"
_FILES = "too many files are open; raise the limit (ulimit -n)"
_BY_NUMBER = {
    errno.ENOMEM: _MEMORY,
    errno.EAGAIN: _PROCESSES,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
}
# Parts of the messages of torch, Python and the system's loader.
_BY_TEXT = {
    "allocate memory": _MEMORY,
    "bad_alloc": _MEMORY,
    "out of memory": _MEMORY,
    "failed to map segment": _MEMORY,
    # oneDNN's words where it gets no memory.
    "could not create a primitive": _MEMORY,
    "could not create a memory": _MEMORY,
    "could not execute a primitive": _MEMORY,
    "can't start new thread": _PROCESSES,
    "resource temporarily unavailable": _PROCESSES,
}
_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def scarcity(error: BaseException) -> str | None:
    """Return one line on the limit that an error comes from; ``None`` if it has other causes."""
    seen: BaseException | None = error
    while seen is not None:
        if (found := _named(seen)) is not None:
            return found
        seen = seen.__cause__ or seen.__context__
    return None


def _named(error: BaseException) -> str | None:
    # torch's own class, without importing torch for it.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return _MEMORY
    if isinstance(error, OSError) and error.errno in _BY_NUMBER:
        return _BY_NUMBER[error.errno]
    if not isinstance(error, RuntimeError | ImportError | OSError):
        return None
    text = printable(str(error)).lower()
    return next((line for part, line in _BY_TEXT.items() if part in text), None)


def limit_threads() -> int | None:
    """Make the numerical libraries compute on one thread if they could not start more.

    To be called before they are imported. They end the process, or print warnings, if the system
    refuses a thread.

    Returns:
        How many threads can be started, if these are too few; otherwise ``None``.
    """
    wanted = _wanted()
    possible = _startable(wanted - 1) + 1
    if possible >= wanted:
        return None
    for name in _VARIABLES:
        os.environ[name] = "1"
    return possible


def _wanted() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() else os.cpu_count() or 1


def _startable(count: int) -> int:
    """Start ``count`` threads that wait for each other's end; return how many could be started."""
    end = threading.Lock()
    end.acquire()

    def wait() -> None:
        with end:
            pass

    started = 0
    try:
        for _ in range(count):
            # Not a Thread: its start waits without end if the new thread lacks memory.
            _thread.start_new_thread(wait, ())
            started += 1
    except RuntimeError:
        pass
    finally:
        end.release()
    return started
