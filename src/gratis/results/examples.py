"""Adversarial examples in a file, to score again or to publish."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gratis.errors import file_error
from gratis.results.arrays import load_arrays, save_arrays

_PROBLEM = "holds no adversarial examples"
_REMEDY = "evaluate again with evaluate.examples=uint8"


@dataclass(frozen=True)
class Examples:
    """One image for each evaluated image: an adversarial example, or the image unchanged.

    A model's accuracy on them is its robust accuracy.

    Attributes:
        images: float32 (n, 3, height, width) in [0, 1], or uint8 (n, height, width, 3). An image
            is unchanged where no attack fooled the model.
        index: (n,), the position of each image in the validation split.
        labels: (n,), the class of each image.
        epsilon: the L-infinity bound of the attacks, in [0, 1] units of pixel value.
    """

    images: NDArray[np.float32] | NDArray[np.uint8]
    index: NDArray[np.int64]
    labels: NDArray[np.int64]
    epsilon: float

    def save(self, path: Path) -> None:
        """Write one safetensors file, all or nothing."""
        arrays = {"images": self.images, "index": self.index, "labels": self.labels}
        save_arrays(path, arrays, {"epsilon": repr(self.epsilon)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        arrays, metadata = load_arrays(path, _PROBLEM, _REMEDY)
        try:
            epsilon = float(metadata["epsilon"])
            examples = cls(arrays["images"], arrays["index"], arrays["labels"], epsilon)
        except (KeyError, ValueError) as error:
            raise file_error(path, f"{_PROBLEM} ({error})", _REMEDY) from error
        if not examples._consistent():
            raise file_error(path, _PROBLEM, _REMEDY)
        return examples

    def _consistent(self) -> bool:
        return (
            self.index.ndim == 1
            and len(self.index) > 0
            and self.images.dtype in (np.float32, np.uint8)
            and self.images.ndim == 4
            and self.index.shape == self.labels.shape == self.images.shape[:1]
            and self.index.dtype == self.labels.dtype == np.int64
            and 0 <= self.epsilon <= 1
        )
