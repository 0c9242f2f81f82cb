"""Messages from the process of a logger to the one that trains, a line each."""

import logging
import sys

from gratis.errors import printable

LEVELS = {"info": logging.INFO, "failed": logging.WARNING}
_LONGEST = 500


def tell(level: str, text: str) -> None:
    """Send a message of a level in ``LEVELS``."""
    sys.stdout.write(f"{level} {printable(' '.join(text.split()))[:_LONGEST]}\n")
    sys.stdout.flush()
