"""The first convolution of a ResNet, with a quicker gradient of its images on a CPU.

For three channels oneDNN takes several times as long for the gradient of the images as for that
of the weights. Seen at half resolution, with four times the channels, it is an ordinary
convolution.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.grad import conv2d_weight
from torch.nn.utils import skip_init

_SHAPE = {
    "kernel_size": (7, 7),
    "stride": (2, 2),
    "padding": (3, 3),
    "dilation": (1, 1),
    "padding_mode": "zeros",
}


class Stem(nn.Conv2d):
    """A 7x7 convolution of stride 2 of images that are themselves made by a network."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the convolution of images (n, channels, height, width)."""
        plain = images.device.type != "cpu" or torch.is_autocast_enabled("cpu")
        if plain or not images.requires_grad or not torch.is_grad_enabled():
            return super().forward(images)
        convolved: Tensor = _Convolve.apply(images, self.weight)
        return convolved


def quicken_stem(backbone: nn.Module) -> None:
    """Put a :class:`Stem` with the same weights in the place of a stem of its shape."""
    old = getattr(backbone, "conv1", None)
    if type(old) is not nn.Conv2d or old.bias is not None or old.groups != 1:
        return
    if any(getattr(old, name) != value for name, value in _SHAPE.items()):
        return
    new = skip_init(Stem, old.in_channels, old.out_channels, bias=False, **_SHAPE)
    new.weight = old.weight
    backbone.conv1 = new


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(images, weight)
        return functional.conv2d(images, weight, stride=2, padding=3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        images, weight = ctx.saved_tensors
        wants_images, wants_weight = ctx.needs_input_grad
        return (
            _gradient_of_images(gradient, weight, *images.shape[2:]) if wants_images else None,
            conv2d_weight(images, weight.shape, gradient, stride=2, padding=3)
            if wants_weight
            else None,
        )


def _gradient_of_images(gradient: Tensor, weight: Tensor, height: int, width: int) -> Tensor:
    """Return the gradient of the images, (n, channels, height, width), channels last.

    Args:
        gradient: that of the output, (n, out, ceil(height / 2), ceil(width / 2)).
        weight: (out, channels, 7, 7).
        height: of the images.
        width: of the images.
    """
    (n, _, rows, columns), (out, channels) = gradient.shape, weight.shape[:2]
    # Seven taps and a zero are four at each of the two places of a pixel in a pair.
    taps = functional.pad(weight, (1, 0, 1, 0)).view(out, channels, 4, 2, 4, 2)
    kernel = taps.flip(2, 4).permute(3, 5, 1, 0, 2, 4).reshape(4 * channels, out, 4, 4)
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    pairs = functional.conv2d(gradient, kernel, padding=2).permute(0, 2, 3, 1)[:, 1:, 1:]
    # From (row, column, place in pair of rows, place in pair of columns and channel) to pixels.
    pixels = pairs.reshape(n, rows, columns, 2, 2 * channels).transpose(2, 3)
    pixels = pixels.reshape(n, 2 * rows, 2 * columns, channels)
    return pixels.permute(0, 3, 1, 2)[:, :, :height, :width]
