"""The one error that a user may see: a clear line, never a traceback."""

import re
from pathlib import Path

# Control characters, line and paragraph separators, changes of direction, lone surrogates.
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class GratisError(Exception):
    """Something the user can put right.

    The command line prints the message and ends with exit code 2. The message names the file or
    the key at fault and the remedy.
    """

    exit_code = 2


class Interrupted(GratisError):
    """A run stopped because the user asked; the message says how to go on."""

    exit_code = 130


def file_error(path: Path, problem: str, remedy: str = "") -> GratisError:
    """Return an error that names ``path``, what is wrong with it and what to do about it."""
    return GratisError(printable(f"{path}: {problem}" + (f"; {remedy}" if remedy else "")))


def printable(text: str) -> str:
    """Return ``text`` on one line, with control characters as escapes.

    Names and values come from strangers: they must neither steer the terminal nor pass for lines
    of ours.
    """
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)
