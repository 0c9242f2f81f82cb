"""A data set in memory: uint8 images with labels, for training and for validation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gratis.errors import GratisError

_FEW = 3


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    Attributes:
        images: uint8 of shape (n, height, width, 3), usually memory-mapped.
        labels: int64 of shape (n,), each in [0, classes).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> "Split":
        """Return the images at ``indices``, in this order, as arrays in memory."""
        return Split(np.ascontiguousarray(self.images[indices]), self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """Training and validation images of one square size, with the names of their classes.

    Attributes:
        name: the name of the data source.
        train: the images to train on.
        validation: the images to evaluate on.
        classes: the name of each class, by label.
        fingerprint: a digest of every pixel and label.
        flippable: whether a mirrored image still shows its class (not so for digits).
        skipped: the broken images that were left out, each with the reason.
        details: what else the source tells of the images, each with a title.

    Raises:
        GratisError: there are fewer than two classes, or a split has no images.
    """

    name: str
    train: Split
    validation: Split
    classes: tuple[str, ...]
    fingerprint: str
    flippable: bool = True
    skipped: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse data that a classifier cannot be trained or evaluated on."""
        refuse_degenerate(self.name, len(self.classes), len(self.train), len(self.validation))

    def describe(self) -> str:
        """Return a summary of the data set in a few lines, and the images that were left out."""
        counts = np.bincount(self.train.labels, minlength=len(self.classes))
        lines = [
            f"{self.name}: {len(self.classes)} classes, {self.size}x{self.size} pixels",
            f"  training    {len(self.train)} images, {counts.min()} to {counts.max()} per class",
            f"  validation  {len(self.validation)} images",
            *(f"  {title:<11} {text}" for title, text in self.details),
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
    """Return the first three of ``items`` on one line, and the number of the others."""
    more = [f"and {len(items) - _FEW} more"] if len(items) > _FEW else []
    return ", ".join([*items[:_FEW], *more])


def refuse_few_classes(where: object, classes: int) -> None:
    """Raise a GratisError that names ``where`` if there are fewer than two classes."""
    if classes < 2:
        plural = "1 class" if classes == 1 else f"{classes} classes"
        raise GratisError(
            f"{where}: has {plural}, but a classifier needs two; add images of another class"
        )


def refuse_degenerate(where: object, classes: int, train: int, validation: int) -> None:
    """Raise a GratisError also if there are no training or validation images."""
    refuse_few_classes(where, classes)
    for images, split in ((train, "training"), (validation, "validation")):
        if images == 0:
            raise GratisError(
                f"{where}: has no {split} images of the {classes} classes in use; "
                "add some, or use more classes with data.classes"
            )
