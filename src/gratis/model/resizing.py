"""Resizing of images to the resolution of a network."""

from torch import Tensor
from torch.nn import functional


def resized(images: Tensor, size: int | None) -> Tensor:
    """Return images (n, 3, height, width) resized bilinearly to ``size`` x ``size`` pixels.

    ``None`` leaves them as they are. On a CPU the resized images are contiguous, not channels last.
    """
    if size is None or images.shape[-2:] == (size, size):
        return images
    if images.device.type == "cpu":
        # From 64 to 224 px it takes a third of the time of channels last.
        images = images.contiguous()
    shrinks = size < images.shape[-1]
    return functional.interpolate(
        images, (size, size), mode="bilinear", align_corners=False, antialias=shrinks
    )
