"""Standard output and standard error that may be full, closed or hung up.

What can no longer be printed is dropped, so that neither training nor measuring is lost with it.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

_STANDARD = (0, 1, 2)


class FaultTolerantStream:
    """A text stream that drops what cannot be written.

    Attributes:
        error: the first error of a write; ``None`` if there was none.
    """

    def __init__(self, stream: TextIO) -> None:
        """Wrap ``stream``."""
        self._stream = stream
        self.error: Exception | None = None
        # Names of files are not always text.
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]

    def write(self, text: str) -> int:
        """Write ``text``, or drop it."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError) as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Flush what was written, or drop it."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the stream."""
        return getattr(self._stream, name)

    def _give_up(self, error: Exception) -> None:
        """Send everything from now on to the null device, also what is still in buffers."""
        self.error = self.error or error
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, self._stream.fileno())
        except (OSError, ValueError):
            # The stream itself is closed, or is no file.
            self._stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        finally:
            os.close(null)


@contextmanager
def fault_tolerant_streams() -> Iterator[FaultTolerantStream]:
    """Replace standard output and error while the block runs; yield standard output.

    Descriptors that are closed are opened on the null device. Otherwise the next file that is
    opened would get their number, and messages would be written into it.
    """
    for number in _STANDARD:
        with suppress(OSError):
            _open_if_closed(number)
    before = sys.stdout, sys.stderr
    out, err = (FaultTolerantStream(stream or _null()) for stream in before)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def _open_if_closed(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        # The lowest free number, which is this one: they are tried in order.
        os.open(os.devnull, os.O_RDWR)


def _null() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def is_reader_gone(error: Exception) -> bool:
    """Return whether the program at the other end of a pipe has ended, as ``head`` does."""
    return isinstance(error, OSError) and error.errno == errno.EPIPE
