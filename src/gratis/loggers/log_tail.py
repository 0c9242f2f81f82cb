"""The lines of a log that is still being written, and that a resumed run may cut."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from gratis.regular_files import open_regular


class NewLines(NamedTuple):
    """The lines since the last look.

    Attributes:
        lines: as mappings.
        restarted: whether they are those of the whole file, because it is read for the first time
            or was cut since the last look.
    """

    lines: list[dict[str, Any]]
    restarted: bool


class LogTail:
    """Reads a JSON-lines file as it grows."""

    def __init__(self, path: Path) -> None:
        """Begin at the first line; the file need not exist yet."""
        self._path, self._end, self._last = path, 0, b""

    def read(self) -> NewLines:
        """Return the complete lines since the last call."""
        try:
            with open_regular(self._path) as stream:
                stream.seek(self._end - len(self._last))
                restarted = self._end == 0 or stream.read(len(self._last)) != self._last
                if restarted:
                    stream.seek(0)
                new = stream.read()
        except FileNotFoundError:
            return NewLines([], restarted=False)
        new = new[: new.rfind(b"\n") + 1]
        if restarted:
            self._end, self._last = 0, b""
        lines = new.splitlines(keepends=True)
        if lines:
            self._end, self._last = self._end + len(new), lines[-1]
        found = [json.loads(line) for line in lines]
        return NewLines([line for line in found if _is_position(line)], restarted)


def _is_position(line: object) -> bool:
    """Return whether a line says where in the run it belongs."""
    return isinstance(line, dict) and {"kind", "step", "epoch", "passes"} <= line.keys()
