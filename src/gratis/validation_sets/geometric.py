"""The geometric noise of the perturbed validation sets, one independent draw per image.

The transforms are those of torchvision and not the library's own augmentation, so that a model is
not measured with the code that it was trained with.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from gratis.seeds import generator
from gratis.settings import Settings
from gratis.torch_state import fresh_torch_state, one_thread


class Geometry(Settings):
    """The ranges of the geometric noise; each number is drawn uniformly from its range.

    Attributes:
        degrees: the largest rotation either way.
        scale: the smallest and the largest zoom factor.
        shift: the largest shift along either axis, as a share of the side.
        mirror_probability: the probability of a horizontal flip.
        hue: the largest change of hue, in turns of the colour wheel.
        colour: the smallest and the largest factor of saturation, brightness and contrast.
    """

    degrees: float = 20.0
    scale: tuple[float, float] = (0.85, 1.15)
    shift: float = 0.1
    mirror_probability: float = 0.5
    hue: float = 0.1
    colour: tuple[float, float] = (0.7, 1.3)


class Noise(NamedTuple):
    """The geometric noise of one image.

    ``angle`` is in degrees, ``shift`` (right, down) in shares of the image's width and height, and
    ``hue`` in turns of the colour wheel; the others are factors.
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
    """Return the noise of the image at ``index``, which depends on ``seed`` and ``index`` alone."""
    source = generator("cpu", seed, "geometric", index)
    numbers = torch.rand(9, generator=source, device="cpu", dtype=torch.float32).tolist()

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
    """Return images, uint8 (n, height, width, 3), under geometric noise.

    ``first`` is the index of the first image in its split; the others follow it. The noise of an
    image depends on ``seed`` and its index alone. The caller's autocast and default dtype make no
    difference.
    """
    noises = (draw(geometry, seed, first + row) for row in range(len(images)))
    with fresh_torch_state(), one_thread(), torch.device("cpu"):
        return np.stack([apply(image, noise) for image, noise in zip(images, noises, strict=True)])


def apply(image: NDArray[np.uint8], noise: Noise) -> NDArray[np.uint8]:
    """Return ``image``, uint8 of shape (height, width, 3), under ``noise``.

    The order is colour, mirroring, then one bilinear resampling that pads with black. The pixels
    are rounded once, at the end.
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
