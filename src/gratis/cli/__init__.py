"""The command line."""

import sys

import typer

from gratis.cli.allocator import keep_memory
from gratis.cli.app import app, known_options
from gratis.cli.hints import refuse_options_of_others
from gratis.cli.logs import show_messages
from gratis.errors import GratisError

__all__ = ["app", "main"]


_LOWER = "out of memory; lower train.batch_size or evaluate.batch_size, or choose a smaller model"


def main() -> None:
    """Run the command line; an error that the user can fix is one line and exit code 2."""
    keep_memory()
    show_messages()
    try:
        refuse_options_of_others(sys.argv[1:], known_options())
        app()
    except GratisError as error:
        _complain(str(error), error.exit_code)
    except OSError as error:
        _complain(f"{error.filename or 'input or output'}: {error.strerror or error}", 2)
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        _complain(_LOWER, 2)


def _out_of_memory(error: Exception) -> bool:
    # torch's own class, without importing torch for it; its allocator on a CPU has none.
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "can't allocate memory" in str(error)


def _complain(message: str, exit_code: int) -> None:
    typer.secho(f"error: {message}" if exit_code == 2 else message, err=True)
    sys.exit(exit_code)
