"""Example images in one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gratis.results import HeldOutImages, SampleImages

# Small images are enlarged to about this height.
_HEIGHT = 96
# Pixels between two images.
_GAP = 8


class Montage(NamedTuple):
    """Images in a grid, uint8 (height, width, 3), and what they are."""

    pixels: NDArray[np.uint8]
    caption: str


def held_out_montage(images: HeldOutImages) -> Montage:
    """Return held-out images above the same images under attack."""
    caption = "Held-out training images, clean (above) and attacked (below)."
    return Montage(_grid([images.clean, images.attacked]), caption)


def sample_montage(path: Path) -> Montage:
    """Return the sample images of an evaluation: a row for each kind, a column for each image."""
    images = SampleImages.load(path).images
    kinds = list(images[0].pictures)
    rows = [np.stack([image.pictures[kind] for image in images]) for kind in kinds]
    predicted = [
        f"{image.label}: {', '.join(f'{k} {p.name}' for k, p in image.predictions.items())}"
        for image in images
    ]
    caption = f"From above: {', '.join(kinds)}. Predictions: {'; '.join(predicted)}."
    return Montage(_grid(rows), caption)


def _grid(rows: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return rows of images, each uint8 (n, height, width, 3), as one image, with white between."""
    times = max(1, round(_HEIGHT / rows[0].shape[1]))
    lines = [_joined(list(row.repeat(times, axis=1).repeat(times, axis=2)), 1) for row in rows]
    return _joined(lines, 0)


def _joined(parts: Sequence[NDArray[np.uint8]], axis: int) -> NDArray[np.uint8]:
    shape = list(parts[0].shape)
    shape[axis] = _GAP
    gap = np.full(shape, 255, np.uint8)
    spaced = [piece for part in parts for piece in (gap, part)]
    return np.concatenate(spaced[1:], axis=axis)
