"""The run's diary: one JSON object a line, cut back on resume to where the checkpoint stood."""

import json
import math
import time
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from gratis.errors import GratisError, file_error


class Metrics:
    """Averages what steps report and appends lines to ``metrics.jsonl``."""

    def __init__(self, path: Path) -> None:
        """Write to ``path``, once :meth:`open` was called."""
        self._path = path
        self._stream: BinaryIO | None = None
        self._sums: dict[str, Tensor] = {}
        self._steps, self._passes = 0, 0.0
        self._since = time.perf_counter()

    def open(self, keep_bytes: int) -> None:
        """Open the file and drop what was written after its first ``keep_bytes``.

        Raises:
            GratisError: the file cannot be written.
        """
        try:
            self._stream = self._path.open("r+b" if self._path.exists() else "w+b")
            # A diary lost since the checkpoint starts anew: never fill it up with zeros.
            kept = min(keep_bytes, self._path.stat().st_size)
            self._stream.truncate(kept)
            self._stream.seek(kept)
        except OSError as error:
            raise file_error(self._path, f"cannot be written ({error.strerror})") from error
        self._since = time.perf_counter()

    def add(self, values: dict[str, Tensor], passes: float) -> None:
        """Add a step's scalars; they stay on their device until :meth:`averages`."""
        for name, value in values.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._steps += 1
        self._passes += passes

    def averages(self) -> dict[str, float]:
        """Return the mean of each value since the last call, and the passes a second.

        Raises:
            GratisError: the loss is no longer a finite number.
        """
        means = (torch.stack(list(self._sums.values())) / self._steps).tolist()
        named: dict[str, float] = dict(zip(self._sums, means, strict=True))
        if not all(math.isfinite(value) for value in means):
            raise GratisError(
                f"the loss is no longer finite ({named}); lower train.learning_rate, train anew"
            )
        now = time.perf_counter()
        named["passes_per_second"] = round(self._passes / (now - self._since), 1)
        self._sums, self._steps, self._passes, self._since = {}, 0, 0.0, now
        return named

    def write(self, line: dict[str, Any]) -> None:
        """Append one line."""
        assert self._stream is not None, "open() first"
        self._stream.write((json.dumps(line) + "\n").encode())
        self._stream.flush()

    @property
    def bytes(self) -> int:
        """The length of the file."""
        assert self._stream is not None, "open() first"
        return self._stream.tell()

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()

    def state_dict(self) -> dict[str, Tensor]:
        """Return what was added since the last averages."""
        return {"steps": torch.tensor(self._steps)} | {f"sum.{k}": v for k, v in self._sums.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a state that :meth:`state_dict` returned."""
        self._steps = int(state["steps"])
        self._sums = {k.removeprefix("sum."): v for k, v in state.items() if k != "steps"}
