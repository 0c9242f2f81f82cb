"""What every data source gives: uint8 images with labels, for training and for validation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gratis.errors import GratisError

_FEW = 3


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
    still shows its class (digits: no). ``skipped`` names the broken images that were left out, and
    says what is wrong with each.

    Raises:
        GratisError: there are fewer than two classes, or a split has no images.
    """

    name: str
    train: Split
    validation: Split
    classes: tuple[str, ...]
    fingerprint: str
    mirrors: bool = True
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what nothing can be learned from."""
        refuse_degenerate(self.name, len(self.classes), len(self.train), len(self.validation))

    def describe(self) -> str:
        """Return what is in the data set, in a few lines, and what was left out of it."""
        counts = np.bincount(self.train.labels, minlength=len(self.classes))
        lines = [
            f"{self.name}: {len(self.classes)} classes, {self.size}x{self.size} pixels",
            f"  training    {len(self.train)} images, {counts.min()} to {counts.max()} a class",
            f"  validation  {len(self.validation)} images",
            f"  fingerprint {self.fingerprint[:16]}",
        ]
        if self.skipped:
            lines.append(f"  left out    {len(self.skipped)} broken images:")
        return "\n".join([*lines, *(f"    {image}" for image in self.skipped)])

    @property
    def size(self) -> int:
        """Return the height and width of every image, in pixels."""
        return int(self.train.images.shape[1])


def few(items: Sequence[str]) -> str:
    """Return the first of ``items`` in a line, and how many more there are."""
    more = [f"and {len(items) - _FEW} more"] if len(items) > _FEW else []
    return ", ".join([*items[:_FEW], *more])


def refuse_few_classes(where: object, classes: int) -> None:
    """Refuse data with fewer than two classes; ``where`` is its folder, or its name.

    Raises:
        GratisError: there are fewer.
    """
    if classes < 2:
        plural = "1 class" if classes == 1 else f"{classes} classes"
        raise GratisError(f"{where}: has {plural}, and a classifier needs two; add images of more")


def refuse_degenerate(where: object, classes: int, train: int, validation: int) -> None:
    """Refuse data that a classifier cannot be trained on, or not measured on.

    Args:
        where: the folder of the data, or its name.
        classes: the number of classes.
        train: the number of training images.
        validation: the number of validation images.

    Raises:
        GratisError: there are fewer than two classes, or no images to train or to validate on.
    """
    refuse_few_classes(where, classes)
    for images, part in ((train, "training"), (validation, "validation")):
        if images == 0:
            raise GratisError(
                f"{where}: has no {part} images of the {classes} classes used; "
                "add some, or choose more classes with data.classes"
            )
