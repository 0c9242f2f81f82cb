"""Held-out training images, clean and attacked, as the overfitting monitor last saw them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gratis.errors import file_error
from gratis.results.arrays import load_arrays, save_arrays

# The folder in that of a run with what loggers need, and the file there. They are written only
# if the folder exists.
FOLDER, IMAGES = "loggers", "held_out_images.safetensors"

_PROBLEM, _REMEDY = "holds no held-out images", "delete it: the next epoch writes it again"


@dataclass(frozen=True)
class HeldOutImages:
    """A few held-out images at one step.

    Attributes:
        step: the step of training.
        clean: uint8 (n, height, width, 3).
        attacked: the same images, attacked through the model at that step.
    """

    step: int
    clean: NDArray[np.uint8]
    attacked: NDArray[np.uint8]

    def save(self, path: Path) -> None:
        """Write one safetensors file, all or nothing."""
        arrays = {"clean": self.clean, "attacked": self.attacked}
        save_arrays(path, arrays, {"step": str(self.step)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        arrays, metadata = load_arrays(path, _PROBLEM, _REMEDY)
        try:
            found = cls(int(metadata["step"]), arrays["clean"], arrays["attacked"])
        except (KeyError, ValueError) as error:
            raise file_error(path, f"{_PROBLEM} ({error})", _REMEDY) from error
        shape, kinds = found.clean.shape, {found.clean.dtype, found.attacked.dtype}
        right = len(shape) == 4 and shape[-1] == 3 and min(shape) > 0
        if not right or found.attacked.shape != shape or kinds != {np.dtype(np.uint8)}:
            raise file_error(path, _PROBLEM, _REMEDY)
        return found
