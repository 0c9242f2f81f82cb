"""The metrics of a run: means on the device, and a JSON-lines log that a resume can rewind."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from gratis.errors import file_error
from gratis.ranks import sum_over_ranks, world_size
from gratis.regular_files import open_to_change, unwritable

# No line of a log is longer.
_LONGEST_LINE = 2**20


class RunningMeans:
    """Means of what steps report, summed on the device and read from time to time."""

    def __init__(self) -> None:
        """Start empty."""
        self._sums: dict[str, Tensor] = {}
        self._steps, self._passes, self._images = 0, 0.0, 0
        self._since = time.perf_counter()

    def add(self, values: dict[str, Tensor], passes: float, images: int) -> None:
        """Add the scalars of a step without waiting for the device."""
        for name, value in values.items():
            # A copy: the step's and the epoch's averages must not share memory in a checkpoint.
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
        self._steps += 1
        self._passes += passes
        self._images += images

    def means(self) -> dict[str, float]:
        """Return the means since the last :meth:`read`; empty if nothing was added."""
        if not self._steps:
            return {}
        sums = sum_over_ranks(torch.stack(list(self._sums.values())))
        means = (sums / (self._steps * world_size())).tolist()
        return dict(zip(self._sums, means, strict=True))

    def read(self) -> dict[str, float]:
        """Return the means since the last call, and the images and passes per second."""
        named = self.means()
        seconds = time.perf_counter() - self._since
        named["images_per_second"] = round(self._images / seconds, 1)
        named["passes_per_second"] = round(self._passes / seconds, 1)
        self._clear()
        return named

    def state_dict(self) -> dict[str, Tensor]:
        """Return what was added since the last :meth:`read`."""
        sums = {f"sum.{k}": sum_over_ranks(v) / world_size() for k, v in self._sums.items()}
        return {"steps": torch.tensor(self._steps, device="cpu"), **sums}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a state that :meth:`state_dict` returned.

        The rates begin anew: they are those of the steps of this process since now.
        """
        self._clear()
        self._steps = int(state["steps"])
        self._sums = {k.removeprefix("sum."): v for k, v in state.items() if k != "steps"}

    def _clear(self) -> None:
        self._sums = {}
        self._steps, self._passes, self._images = 0, 0.0, 0
        self._since = time.perf_counter()


class NoLog:
    """Stands for the log on ranks other than the first."""

    def rewind(self, keep_bytes: int) -> None:
        """Do nothing."""

    def write(self, line: dict[str, Any]) -> None:
        """Do nothing."""

    def read(self, key: str) -> list[dict[str, Any]]:
        """Return nothing."""
        return []

    def sync(self) -> int:
        """Return 0."""
        return 0

    def close(self) -> None:
        """Do nothing."""


class JsonLinesLog:
    """Appends lines to ``metrics.jsonl``."""

    def __init__(self, path: Path, keep_bytes: int) -> None:
        """Open the file and drop everything after its first ``keep_bytes``."""
        self._path = path
        with self._errors_named():
            self._stream: BinaryIO = open_to_change(path)
        self.rewind(keep_bytes)

    def rewind(self, keep_bytes: int) -> None:
        """Drop everything after the first ``keep_bytes``."""
        with self._errors_named():
            # A file that is shorter by now keeps its complete lines; truncate would pad it.
            end = min(keep_bytes, self._stream.seek(0, os.SEEK_END))
            start = max(0, end - _LONGEST_LINE)
            self._stream.seek(start)
            kept = self._stream.read(end - start)
            self._stream.seek(start + kept.rfind(b"\n") + 1)
            self._stream.truncate()

    def write(self, line: dict[str, Any]) -> None:
        """Append one line."""
        with self._errors_named():
            self._stream.write((json.dumps(line) + "\n").encode())
            self._stream.flush()

    def read(self, key: str) -> list[dict[str, Any]]:
        """Return the lines so far that have ``key``."""
        with self._errors_named():
            end = self._stream.tell()
            self._stream.seek(0)
            quoted = json.dumps(key).encode()
            lines = [line for line in self._stream if quoted in line]
            self._stream.seek(end)
        try:
            found = map(json.loads, lines)
            return [line for line in found if isinstance(line, dict) and key in line]
        except ValueError as error:
            remedy = "restore it, or train into a new folder with --out"
            raise file_error(self._path, "is not the log of a run", remedy) from error

    def sync(self) -> int:
        """Flush all lines to the disk; return the length of the file in bytes."""
        with self._errors_named():
            os.fsync(self._stream.fileno())
        return self._stream.tell()

    def close(self) -> None:
        """Close the file."""
        # On a full disk, closing fails to flush.
        with suppress(OSError):
            self._stream.close()

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self._path, error) from error
