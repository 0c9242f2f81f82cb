"""Handwritten digits: 1797 images of 8x8 pixels that come with the package.

They are the test set of E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*
(UCI Machine Learning Repository, 1998, CC BY 4.0), as scikit-learn distributes it. A copy, because
scikit-learn takes two seconds to import.
"""

from importlib import resources

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gratis.data.dataset import Dataset, Split
from gratis.data.images import resized
from gratis.data.source import DataSettings, first_classes
from gratis.data.stored import fingerprint
from gratis.errors import GratisError


def read(settings: DataSettings) -> Dataset:
    """Return the digits in a fixed split: 1437 images for training, 360 for validation."""
    if settings.root is not None:
        raise GratisError("digits come with the package and have no folder; leave out --data-root")
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
    with (
        resources.files("gratis.data").joinpath("digits.npz").open("rb") as file,
        np.load(file) as stored,
    ):
        pixels, labels, validation = (stored[name] for name in ("images", "labels", "validation"))
    # From 0 to 16.
    grey = np.rint(pixels * (255 / 16)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3), labels.astype(np.int64), validation


SOURCES = {"digits": read}
