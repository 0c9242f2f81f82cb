"""A data set in memory: uint8 images with labels, for training and for validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gratis.data.sharded_images import Images, ShardedImages, images_at
from gratis.errors import GratisError

_FEW = 3


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    Attributes:
        images: uint8 of shape (n, height, width, 3), usually memory-mapped; in several files of a
            large store (:class:`gratis.data.sharded_images.ShardedImages`).
        labels: int64 of shape (n,), each in [0, classes).
    """

    images: Images
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> "Split":
        """Return the images at ``indices``, in this order, as arrays in memory."""
        return Split(images_at(self.images, indices), self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """Training and validation images of one square size, with the names of their classes.

    Attributes:
        name: the name of the data source.
        train: the images to train on.
        validation: the images to evaluate on.
        classes: the name of each class, by label.
        fingerprint: a digest of every pixel and label.
        flippable: whether a mirrored image keeps its class (digits do not).
        skipped: the broken images that were left out, each with the reason.
        details: what else the source tells of the images, each with a title.

    Labels of another integer type become int64.

    Raises:
        GratisError: there are fewer than two classes, a split has no images, or its images or
            labels have another type, shape or range.
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
        for part in ("train", "validation"):
            where = f"{self.name}: {part}"
            split = checked_split(where, getattr(self, part), len(self.classes))
            object.__setattr__(self, part, split)
        refuse_degenerate(self.name, len(self.classes), len(self.train), len(self.validation))
        sizes = [split.images.shape[1:3] for split in (self.train, self.validation)]
        if sizes[0] != sizes[1]:
            train, validation = ("x".join(map(str, size)) for size in sizes)
            raise GratisError(
                f"{self.name}: training images are {train} and validation images {validation} "
                "pixels; resize them to one size"
            )

    def describe(self) -> str:
        """Return a summary of the data set in a few lines, and the images that were left out."""
        counts = np.bincount(self.train.labels, minlength=len(self.classes))
        fewest, most = counts.min(), counts.max()
        each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        lines = [
            f"{self.name}: {len(self.classes)} classes, {self.size}x{self.size} pixels",
            f"  training    {len(self.train)} images, {each} per class",
            f"  validation  {len(self.validation)} images",
            *(f"  {title:<11} {text}" for title, text in self.details),
            f"  fingerprint {self.fingerprint[:16]}",
        ]
        if self.skipped:
            plural = "" if len(self.skipped) == 1 else "s"
            lines.append(f"  left out    {len(self.skipped)} broken image{plural}:")
        return "\n".join([*lines, *(f"    {image}" for image in self.skipped)])

    @property
    def size(self) -> int:
        """Return the height and width of every image, in pixels."""
        return int(self.train.images.shape[1])


def checked_split(where: str, split: Split, classes: int | None = None) -> Split:
    """Return a split as arrays, with int64 labels.

    ``split`` holds arrays, or what NumPy turns into arrays without a copy, such as tensors on the
    CPU. ``where`` names it in messages.

    Raises:
        GratisError: the images are not uint8 (n, height, width, 3), or the labels are not whole
            numbers in [0, classes), one for each image.
    """
    images, labels = split.images, np.asanyarray(split.labels)
    if not isinstance(images, ShardedImages):
        images = np.asanyarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise GratisError(
            f"{where}: images must be uint8 of shape (n, height, width, 3), not "
            f"{images.dtype} {images.shape}; multiply floats in [0, 1] by 255 and round them"
        )
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise GratisError(
            f"{where}: labels must be whole numbers of shape (n,), not {labels.dtype} "
            f"{labels.shape}"
        )
    if len(labels) != len(images):
        raise GratisError(f"{where}: there are {len(images)} images and {len(labels)} labels")
    _refuse_range(where, labels, classes)
    return Split(images, labels.astype(np.int64, copy=False))


def _refuse_range(where: str, labels: NDArray[np.integer[Any]], classes: int | None) -> None:
    if not len(labels):
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or (classes is not None and high >= classes):
        last = (
            "" if classes is None else f" to {classes - 1}, one for each of the {classes} classes"
        )
        raise GratisError(f"{where}: labels must be 0{last or ' or more'}, not {low} to {high}")


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
