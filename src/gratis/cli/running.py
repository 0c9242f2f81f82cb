"""Run a command and turn its errors into one line and an exit code."""

import logging
import os
import sys

import typer

from gratis.cli.allocator import keep_memory
from gratis.cli.app import app, known_options
from gratis.cli.hints import refuse_options_of_others
from gratis.cli.limits import limit_threads, scarcity
from gratis.cli.logs import show_messages
from gratis.errors import GratisError, printable

logger = logging.getLogger(__name__)


def run() -> int:
    """Run the command that the arguments of the process name; return its exit code.

    Raises:
        Exception: an error that is a fault of the program.
    """
    keep_memory()
    show_messages()
    possible = limit_threads()
    if possible is not None:
        logger.warning(f"only {possible} threads can be started (ulimit -u): computing on one")
    try:
        refuse_options_of_others(sys.argv[1:], known_options())
        app()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except GratisError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("stopped; run the same command again to continue", 130)
    except Exception as error:
        message = scarcity(error) or _of_system(error)
        if message is None:
            raise
    else:
        return 0
    # After the handler, which holds the memory of all that the failed call had made.
    return _complain(message, 2)


def _of_system(error: Exception) -> str | None:
    if not isinstance(error, OSError):
        return None
    return printable(f"{error.filename or 'input or output'}: {error.strerror or error}")


def _complain(message: str, exit_code: int) -> int:
    line = f"error: {message}" if exit_code == 2 else message
    try:
        typer.secho(line, err=True)
    except MemoryError:
        os.write(2, f"{line}\n".encode(errors="replace"))
    return exit_code
