"""What an evaluation found, image by image, so that models can be compared on the same images."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gratis.errors import file_error
from gratis.results.arrays import load_arrays, save_arrays
from gratis.results.examples import Examples
from gratis.results.schema import METRICS, Check, TaskResult

_PROBLEM = "is not a measurement"
_REMEDY = "evaluate the run again"


@dataclass(frozen=True)
class Measurement:
    """Which images a model classifies correctly, by metric.

    :meth:`save` writes ``index`` and ``correct`` only.

    Attributes:
        index: int64 (n,), the position of each image in the validation split.
        correct: a boolean array (n,) for every metric that was measured.
        tasks: the result of every task of the suite.
        seconds: the duration of every task, by name.
        examples: the adversarial examples, if the evaluation kept them.
        checks: the sanity checks, if the suite has them.
    """

    index: NDArray[np.int64]
    correct: dict[str, NDArray[np.bool_]]
    tasks: tuple[TaskResult, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    examples: Examples | None = None
    checks: tuple[Check, ...] = ()

    @property
    def n(self) -> int:
        """The number of images."""
        return len(self.index)

    def accuracy(self, metric: str) -> float | None:
        """Return the share of correct images, in [0, 1]; ``None`` where not measured."""
        return float(self.correct[metric].mean()) if metric in self.correct else None

    @property
    def accuracies(self) -> dict[str, float | None]:
        """The accuracy by each metric of the table."""
        return {metric: self.accuracy(metric) for metric in METRICS}

    def save(self, path: Path) -> None:
        """Write one safetensors file, all or nothing: ``index`` and an array for every metric."""
        save_arrays(path, {"index": self.index, **self.correct})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        correct = load_arrays(path, _PROBLEM, _REMEDY).arrays
        index = correct.pop("index", None)
        if index is None or not _is_measurement(index, correct):
            raise file_error(path, _PROBLEM, _REMEDY)
        return cls(index, correct)


def _is_measurement(index: NDArray[Any], correct: dict[str, NDArray[Any]]) -> bool:
    return (
        index.ndim == 1
        and len(index) > 0
        and index.dtype == np.int64
        and all(array.shape == index.shape and array.dtype == bool for array in correct.values())
    )
