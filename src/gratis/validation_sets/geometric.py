"""The geometric noise of the perturbed validation sets, one independent draw per image.

The transforms are torchvision's, on purpose not the library's own augmentation: a model must not
be judged by the very code it was trained with.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from gratis.seeds import generator
from gratis.settings import Settings


class Geometry(Settings):
    """How far the geometric noise goes; each number is drawn uniformly from its range."""

    degrees: float = 20.0
    scale: tuple[float, float] = (0.85, 1.15)
    shift: float = 0.1
    mirror_probability: float = 0.5
    hue: float = 0.1
    colour: tuple[float, float] = (0.7, 1.3)


class Noise(NamedTuple):
    """What happens to one image.

    ``angle`` is in degrees, ``shift`` is (right, down) in shares of the image's size, ``hue`` in
    turns of the colour wheel; ``scale``, ``saturation``, ``brightness`` and ``contrast`` are
    factors.
    """

    angle: float
    scale: float
    shift: tuple[float, float]
    mirrored: bool
    hue: float
    saturation: float
    brightness: float
    contrast: float


def draw(geometry: Geometry, seed: int, index: int) -> Noise:
    """Return the noise of the image at ``index``: the same whatever else is drawn, or not."""
    numbers = torch.rand(9, generator=generator("cpu", seed, "geometric", index)).tolist()

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(numbers.pop())

    return Noise(
        angle=uniform(-geometry.degrees, geometry.degrees),
        scale=uniform(*geometry.scale),
        shift=(uniform(-geometry.shift, geometry.shift), uniform(-geometry.shift, geometry.shift)),
        mirrored=uniform(0, 1) < geometry.mirror_probability,
        hue=uniform(-geometry.hue, geometry.hue),
        saturation=uniform(*geometry.colour),
        brightness=uniform(*geometry.colour),
        contrast=uniform(*geometry.colour),
    )


def noisy(
    images: NDArray[np.uint8], geometry: Geometry, seed: int, first: int
) -> NDArray[np.uint8]:
    """Return images under geometric noise.

    Args:
        images: uint8 of shape (n, height, width, 3).
        geometry: the ranges of the noise.
        seed: its seed.
        first: the index of the first image in its split; the others follow it.

    Returns:
        uint8 of the same shape. An image's noise depends on ``seed`` and its index alone.
    """
    noises = (draw(geometry, seed, first + row) for row in range(len(images)))
    with one_thread():
        return np.stack([apply(image, noise) for image, noise in zip(images, noises, strict=True)])


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: one image gains nothing from more, and sums stay in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def apply(image: NDArray[np.uint8], noise: Noise) -> NDArray[np.uint8]:
    """Return ``image``, uint8 of shape (height, width, 3), under ``noise``.

    Colour comes first, then mirroring, then one bilinear resampling; what comes into view is
    black, as torchvision has it. The pixels are rounded once, at the end.
    """
    height, width = image.shape[:2]
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    pixels = transforms.adjust_brightness(pixels, noise.brightness)
    pixels = transforms.adjust_contrast(pixels, noise.contrast)
    pixels = transforms.adjust_saturation(pixels, noise.saturation)
    pixels = transforms.adjust_hue(pixels, noise.hue)
    if noise.mirrored:
        pixels = transforms.horizontal_flip(pixels)
    pixels = transforms.affine(
        pixels,
        angle=noise.angle,
        translate=[noise.shift[0] * width, noise.shift[1] * height],
        scale=noise.scale,
        shear=[0.0, 0.0],
        interpolation=InterpolationMode.BILINEAR,
    )
    stored = (pixels * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    result: NDArray[np.uint8] = stored.contiguous().numpy()
    return result
