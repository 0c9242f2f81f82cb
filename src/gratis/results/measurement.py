"""What a measurement found, image by image, so that models can be compared on the same images."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from gratis.errors import file_error
from gratis.files import replacing
from gratis.results.examples import Examples
from gratis.results.schema import METRICS, Check, TaskResult

_REMEDY = "delete this file and evaluate the run again"


@dataclass(frozen=True)
class Measurement:
    """Which images a model classified correctly, by metric.

    ``index`` is int64 of shape (n,), each image's place in the validation split; ``correct`` gives
    a boolean array of shape (n,) for every metric that was measured. These two are what
    :meth:`save` writes; ``tasks`` says how each was found, ``seconds`` what each took,
    ``examples`` holds what fooled the model, where that was asked for, and ``checks`` say whether
    the figures can be believed.
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
        """Write one safetensors file, all or nothing: ``index`` and an array for every metric.

        Raises:
            GratisError: the file cannot be written.
        """
        content = save({"index": self.index, **self.correct})
        # Not by safetensors itself, whose error on a full disk is not an OSError.
        with replacing(path) as temporary:
            temporary.write_bytes(content)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            GratisError: the file is missing or holds something else.
        """
        try:
            arrays = load_file(path)
            index = arrays.pop("index")
        except FileNotFoundError as error:
            raise file_error(path, "does not exist", "evaluate the run") from error
        # A type that numpy lacks is a KeyError, and so on: the file may be anybody's.
        except Exception as error:
            raise file_error(path, f"is not a measurement ({error})", _REMEDY) from error
        if not _is_measurement(index, arrays):
            raise file_error(path, "is not a measurement", _REMEDY)
        return cls(index, arrays)


def _is_measurement(index: NDArray[Any], arrays: dict[str, NDArray[Any]]) -> bool:
    return (
        index.ndim == 1
        and len(index) > 0
        and index.dtype == np.int64
        and all(array.shape == index.shape and array.dtype == bool for array in arrays.values())
    )
