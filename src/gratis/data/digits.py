"""Handwritten digits: 1797 images of 8x8 pixels that come with scikit-learn."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gratis.data.dataset import Dataset, Split
from gratis.data.images import resized
from gratis.data.source import DataSettings, first_classes
from gratis.data.store import fingerprint
from gratis.errors import GratisError

_VALIDATION = 360


def read(settings: DataSettings) -> Dataset:
    """Return the digits in a fixed split: 1437 images for training, 360 for validation."""
    if settings.root is not None:
        raise GratisError("digits come with scikit-learn and have no folder; leave out --data-root")
    classes = first_classes([str(digit) for digit in range(10)], settings)
    images, labels, validation = _images()
    labels = labels - (settings.first_class or 0)
    kept = (labels >= 0) & (labels < len(classes))
    if settings.size is not None:
        scaled = (resized(Image.fromarray(image), settings.size) for image in images)
        images = np.stack([np.asarray(image) for image in scaled])
    train = Split(images[kept & ~validation], labels[kept & ~validation])
    held_out = Split(images[kept & validation], labels[kept & validation])
    return Dataset(
        "digits", train, held_out, classes, fingerprint(train, held_out), flippable=False
    )


def _images() -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Return all images (n, 8, 8, 3), their labels, and the mask of those for validation."""
    # Imported here because it is slow and no other source needs it.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    labels = digits.target.astype(np.int64)
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    _, chosen = train_test_split(
        np.arange(len(labels)), test_size=_VALIDATION, stratify=labels, random_state=0
    )
    validation = np.zeros(len(labels), dtype=np.bool_)
    validation[chosen] = True
    return np.repeat(grey[..., None], 3, axis=3), labels, validation


SOURCES = {"digits": read}
