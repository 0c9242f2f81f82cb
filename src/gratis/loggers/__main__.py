"""The process that tells one logger of one run: ``python -m gratis.loggers NAME FOLDER NICENESS``.

It ends when its standard input does, which is when the process that trains ends, however it ends.
Each line of its standard output is a message for the user, after ``info`` or ``failed``.
"""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from gratis.errors import quoted
from gratis.loggers.base import Logger
from gratis.loggers.follower import Follower
from gratis.loggers.messages import tell

_CLASSES = {"tensorboard": "TensorBoard", "wandb": "WeightsAndBiases", "mlflow": "Mlflow"}
# Seconds between two looks at the log; after a failure, twice as many after each up to the most;
# and from the end of the training process to that of this one, at the latest.
_EVERY, _AFTER_FAILURE, _MOST, _LAST = 2.0, 5.0, 120.0, 300.0
_REASON = 200


def follow(
    word: str, folder: Path, kind: type[Logger], ended: threading.Event, wait: Callable[..., object]
) -> None:
    """Tell a logger of the run in ``folder`` until ``ended`` is set, then send the rest.

    Args:
        word: the name of the logger.
        folder: the folder of the run.
        kind: the class of the logger.
        ended: whether the process that trains has ended.
        wait: waits for so many seconds, or for the end.
    """
    target, pause, failures = kind.target(folder), _EVERY, 0
    follower = Follower(folder, word, kind, target)
    while True:
        last = ended.is_set()
        try:
            follower.send()
            if last:
                follower.close()
                return
            pause, failures = _EVERY, 0
        # Libraries of loggers raise anything, and a later attempt may succeed.
        except Exception as error:
            sys.stderr.write(f"{error!r}\n")
            if last or not failures:
                _complain(error, last, word, folder)
            if last:
                return
            pause = min(_AFTER_FAILURE * 2**failures, _MOST)
            failures += 1
            follower = Follower(folder, word, kind, target)
        wait(pause)


def _complain(error: Exception, last: bool, word: str, folder: Path) -> None:
    reason = " ".join(str(error).split())[:_REASON]
    rest = "training goes on, and what is missing is sent later"
    if last:
        rest = f"send the rest with: gratis resume {quoted(folder)} --log {word}"
    tell("failed", f"{type(error).__name__}: {reason}; {rest}")


def main(word: str, folder: Path, niceness: int) -> None:
    """Follow a run until standard input ends."""
    with suppress(AttributeError, OSError):
        os.nice(niceness)
    ended = threading.Event()
    threading.Thread(target=_await_end, args=(ended,), daemon=True).start()
    kind: type[Logger] = getattr(import_module(f"gratis.loggers.{word}"), _CLASSES[word])
    follow(word, folder, kind, ended, ended.wait)


def _await_end(ended: threading.Event) -> None:
    """Note the end of standard input, and end this process some time after it."""
    sys.stdin.buffer.read()
    ended.set()
    last = threading.Timer(_LAST, os._exit, (1,))
    last.daemon = True
    last.start()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.flush()
    # Without waiting for the threads of libraries, which may wait for a server.
    os._exit(0)
