"""A convolution of few channels whose input gradient costs no more than it must."""

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

# A kernel that works on many channels at a time idles on images, and on little more than images.
FEW_CHANNELS = 4


class Blockwise(nn.Module):
    """The same function as a convolution, with constant weights and a quicker input gradient.

    A processor computes the gradient of many channels at a time, and images have three. A square
    block of the image's gradient, one at least as wide as the stride, is three channels a pixel:
    all blocks together are one ordinary convolution of what comes back.
    """

    backwards: Tensor

    def __init__(self, convolution: nn.Conv2d) -> None:
        """Take the weights of ``convolution``, which must be one that :func:`suits`."""
        super().__init__()
        self.convolution = convolution
        stride, padding = convolution.stride[0], int(convolution.padding[0])
        self.block = max(stride, 2)
        self.step = self.block // stride
        select, self.first = _select(convolution.kernel_size[0], stride, padding, self.block)
        weight = convolution.weight.detach()
        apart = select.to(weight)
        blocks = torch.einsum("oiyx,ajy,bkx->iabojk", weight, apart, apart)
        taps = select.shape[1]
        backwards = blocks.reshape(-1, len(weight), taps, taps)
        self.register_buffer("backwards", backwards, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve images (n, channels, height, width)."""
        climbs = torch.is_grad_enabled() and images.requires_grad
        made: Tensor = _Convolve.apply(images, self) if climbs else self.convolution(images)
        return made


def suits(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether :class:`Blockwise` does what ``layer`` does, and pays: on a CPU."""
    return (
        type(layer) is nn.Conv2d
        and layer.weight.device.type == "cpu"
        and layer.in_channels <= FEW_CHANNELS
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and layer.dilation == (1, 1)
        and all(len(set(sides)) == 1 for sides in (layer.kernel_size, layer.stride, layer.padding))
        and not isinstance(layer.padding, str)
        and layer.stride[0] < layer.kernel_size[0]
    )


class _Convolve(torch.autograd.Function):
    """The convolution; backwards the gradient of its input, and of nothing else."""

    @staticmethod
    def forward(context: Any, images: Tensor, layer: Blockwise) -> Tensor:
        context.layer, context.size = layer, images.shape[-2:]
        made: Tensor = layer.convolution(images)
        return made

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, None]:
        return (_backwards(context.layer, gradient, *context.size), None)


def _backwards(layer: Blockwise, gradient: Tensor, height: int, width: int) -> Tensor:
    taps = layer.backwards.shape[-1]
    around: list[int] = []
    # The last axis comes first.
    for size, made in ((width, gradient.shape[-1]), (height, gradient.shape[-2])):
        reached = layer.step * (-(-size // layer.block) - 1) + layer.first + taps
        around += [-layer.first, reached - made]
    if len(set(around)) == 1 and around[0] >= 0:
        blocks = functional.conv2d(gradient, layer.backwards, stride=layer.step, padding=around[0])
    else:
        padded = functional.pad(gradient, around)
        blocks = functional.conv2d(padded, layer.backwards, stride=layer.step)
    return functional.pixel_shuffle(blocks, layer.block)[..., :height, :width]


def _select(kernel: int, stride: int, padding: int, block: int) -> tuple[Tensor, int]:
    """Return which taps of a kernel lead from an output to a pixel of a block, along one axis.

    The pixel ``p`` of a block sees through tap ``t`` the output (p + padding - t) / stride further
    on, if that is a whole number.

    Returns:
        (block, outputs, kernel) of zeros and ones, and where the outputs begin.
    """
    seen = [
        (pixel, (pixel + padding - tap) // stride, tap)
        for pixel in range(block)
        for tap in range(kernel)
        if (pixel + padding - tap) % stride == 0
    ]
    places = [place for _, place, _ in seen]
    first = min(places)
    select = torch.zeros(block, max(places) - first + 1, kernel)
    for pixel, place, tap in seen:
        select[pixel, place - first, tap] = 1
    return select, first
