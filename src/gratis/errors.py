"""Errors that the user can fix: one clear line, never a traceback."""

import re
import shlex
from pathlib import Path

# Control characters, line and paragraph separators, marks and changes of direction, invisible tags,
# lone surrogates.
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
    r"\U000e0000-\U000e007f]"
)


class GratisError(Exception):
    """An error that the user can fix.

    The message names the file or key at fault and a remedy. The command line prints it and exits
    with ``exit_code``.
    """

    exit_code = 2

    def __init__(self, *lines: str) -> None:
        """Make the message of ``lines``, each :func:`printable` whatever it quotes."""
        super().__init__("\n".join(map(printable, lines)))


class Interrupted(GratisError):
    """A run stopped at the user's request; the message says how to resume it."""

    exit_code = 130


def file_error(path: Path, problem: str, remedy: str = "") -> GratisError:
    """Return an error that names ``path``, its problem and a remedy."""
    return GratisError(f"{path}: {problem}" + (f"; {remedy}" if remedy else ""))


def quoted(path: Path) -> str:
    """Return ``path`` as one word of a shell, for a command in a message that is to be copied."""
    return shlex.quote(str(path))


def printable(text: str) -> str:
    """Return ``text`` on one line, with control characters escaped.

    Names and values from untrusted files must not be able to control the terminal, or to look
    like lines of this program.
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
