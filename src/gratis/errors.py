"""Errors that the user can fix: one clear line, never a traceback."""

import re
from pathlib import Path

# Control characters, line and paragraph separators, changes of direction, lone surrogates.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class GratisError(Exception):
    """An error that the user can fix.

    The message names the file or key at fault and a remedy. The command line prints it and exits
    with ``exit_code``.
    """

    exit_code = 2


class Interrupted(GratisError):
    """A run stopped at the user's request; the message says how to resume it."""

    exit_code = 130


def file_error(path: Path, problem: str, remedy: str = "") -> GratisError:
    """Return an error that names ``path``, its problem and a remedy."""
    return GratisError(printable(f"{path}: {problem}" + (f"; {remedy}" if remedy else "")))


def printable(text: str) -> str:
    """Return ``text`` on one line, with control characters escaped.

    Names and values from untrusted files must not be able to control the terminal, or to look
    like lines of this program.
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
