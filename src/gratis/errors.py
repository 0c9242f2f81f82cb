"""The one error that a user may see: a clear line, never a traceback."""

from pathlib import Path


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
    return GratisError(f"{path}: {problem}" + (f"; {remedy}" if remedy else ""))
