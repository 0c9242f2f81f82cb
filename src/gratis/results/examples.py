"""Adversarial examples as a file that anyone can score again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gratis.errors import file_error
from gratis.files import replacing

_REMEDY = "evaluate again with evaluate.examples=uint8"


@dataclass(frozen=True)
class Examples:
    """One image for each that was asked about: what fooled the model, or the image as it was.

    ``images`` is float32 (n, 3, height, width) in [0, 1] or uint8 (n, height, width, 3); the
    share of it that a model gets right is its robust accuracy. ``index`` (n,) is each image's
    place in the validation split, ``labels`` (n,) its class, ``epsilon`` the L-infinity budget.
    """

    images: NDArray[np.float32] | NDArray[np.uint8]
    index: NDArray[np.int64]
    labels: NDArray[np.int64]
    epsilon: float

    def save(self, path: Path) -> None:
        """Write one safetensors file, all or nothing.

        Raises:
            GratisError: the file cannot be written.
        """
        arrays = {"images": self.images, "index": self.index, "labels": self.labels}
        # As bytes: the library's own writing reports a full disk as damage.
        with replacing(path) as temporary:
            temporary.write_bytes(save(arrays, metadata={"epsilon": repr(self.epsilon)}))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            GratisError: the file is missing or holds something else.
        """
        try:
            with safe_open(path, "numpy") as file:
                images, index, labels = map(file.get_tensor, ("images", "index", "labels"))
                epsilon = float(file.metadata()["epsilon"])
        except FileNotFoundError as error:
            raise file_error(path, "does not exist", _REMEDY) from error
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise file_error(path, f"holds no adversarial examples ({error})", _REMEDY) from error
        examples = cls(images, index, labels, epsilon)
        if not examples._consistent():
            raise file_error(path, "holds no adversarial examples", _REMEDY)
        return examples

    def _consistent(self) -> bool:
        n = len(self.index)
        return (
            n > 0
            and self.images.dtype in (np.float32, np.uint8)
            and self.images.ndim == 4
            and self.index.shape == self.labels.shape == self.images.shape[:1]
            and self.index.dtype == self.labels.dtype == np.int64
            and 0 <= self.epsilon <= 1
        )
