"""What every data source gives: uint8 images with labels, for training and for validation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    ``images`` is uint8 of shape (n, height, width, 3), usually memory-mapped; ``labels`` is int64
    of shape (n,), each in [0, classes).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> "Split":
        """Return the images at ``indices``, in their order, as arrays in memory."""
        return Split(np.ascontiguousarray(self.images[indices]), self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """A data set: training and validation images of one square size, and the classes' names.

    ``fingerprint`` is a hash of every pixel and label. ``mirrors`` says whether a mirrored image
    still shows its class (digits: no).
    """

    name: str
    train: Split
    validation: Split
    classes: tuple[str, ...]
    fingerprint: str
    mirrors: bool = True

    def describe(self) -> str:
        """Return what is in the data set, in a few lines."""
        counts = np.bincount(self.train.labels, minlength=len(self.classes))
        return (
            f"{self.name}: {len(self.classes)} classes, {self.size}x{self.size} pixels\n"
            f"  training    {len(self.train)} images, {counts.min()} to {counts.max()} a class\n"
            f"  validation  {len(self.validation)} images\n"
            f"  fingerprint {self.fingerprint[:16]}"
        )

    @property
    def size(self) -> int:
        """Return the height and width of every image, in pixels."""
        return int(self.train.images.shape[1])
