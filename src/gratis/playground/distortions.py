"""What the sliders do to an image before it is attacked."""

from typing import NamedTuple

from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional


class Distortion(NamedTuple):
    """A geometric change and a change of colours; the defaults change nothing.

    Attributes:
        rotation: degrees, counter-clockwise.
        shift: to the right, as a share of the width.
        scale: the factor of enlargement.
        hue: the rotation of the colours, as a share of the circle, in [-0.5, 0.5].
        saturation: the factor of saturation; 0 is grey.
        blur: the standard deviation of a Gaussian, as a share of the width.
    """

    rotation: float = 0.0
    shift: float = 0.0
    scale: float = 1.0
    hue: float = 0.0
    saturation: float = 1.0
    blur: float = 0.0

    def apply(self, images: Tensor) -> Tensor:
        """Return the changed images (n, 3, H, W) in [0, 1]."""
        width = images.shape[-1]
        if self[:3] != Distortion()[:3]:
            images = functional.affine(
                images,
                angle=-self.rotation,
                translate=[self.shift * width, 0],
                scale=self.scale,
                shear=[0.0],
                interpolation=InterpolationMode.BILINEAR,
            )
        if self.hue:
            images = functional.adjust_hue(images, self.hue)
        if self.saturation != 1:
            images = functional.adjust_saturation(images, self.saturation)
        if self.blur:
            sigma = self.blur * width
            images = functional.gaussian_blur(images, [2 * round(2 * sigma) + 1] * 2, [sigma])
        return images.clamp(0, 1)
