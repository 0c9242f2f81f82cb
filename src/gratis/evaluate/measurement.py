"""What a measurement found, image by image, so that models can be compared on the same images."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from gratis.errors import file_error
from gratis.files import replacing
from gratis.results import METRICS, TrialResult

if TYPE_CHECKING:
    from gratis.evaluate.examples import Examples  # needs torch, and reading a measurement does not

_REMEDY = "delete this file and evaluate the run again"


@dataclass(frozen=True)
class Measurement:
    """Which images a model classified correctly, by metric.

    ``index`` is int64 of shape (n,), each image's place in the validation split; ``correct`` gives
    a boolean array of shape (n,) for every metric that was measured. These two are what
    :meth:`save` writes; ``trials`` says how each was found, ``seconds`` what each took, and
    ``examples`` holds what fooled the model, where that was asked for.
    """

    index: NDArray[np.int64]
    correct: dict[str, NDArray[np.bool_]]
    trials: tuple[TrialResult, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    examples: "Examples | None" = None

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
        with replacing(path) as temporary:
            save_file({"index": self.index, **self.correct}, temporary)

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
        except (OSError, SafetensorError, KeyError) as error:
            raise file_error(path, f"is not a measurement ({error})", _REMEDY) from error
        if any(array.shape != index.shape or array.dtype != bool for array in arrays.values()):
            raise file_error(path, "is not a measurement", _REMEDY)
        return cls(index, arrays)
