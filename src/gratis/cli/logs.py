"""Messages of the library on standard error, and the options that choose how many."""

import contextlib
import logging

from gratis.errors import printable
from gratis.progress import console

LEVELS = {"quiet": logging.WARNING, "normal": logging.INFO, "verbose": logging.DEBUG}


class ConsoleHandler(logging.Handler):
    """Prints each message on one line, above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        # Not rich's own handler: it breaks long lines where the output is no terminal.
        # Strangers' names must not control the terminal.
        # A full disk or a closed terminal must not end training.
        with contextlib.suppress(OSError):
            console.print(printable(self.format(record)), markup=False, emoji=False, soft_wrap=True)


def show_messages(level: int = logging.INFO) -> None:
    """Print the library's messages of ``level`` and above, from now on."""
    logger = logging.getLogger("gratis")
    logger.setLevel(level)
    if not any(isinstance(handler, ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(ConsoleHandler())
