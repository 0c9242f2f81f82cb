"""The gradient of a convolution's input, computed block by block.

A processor computes the gradient of many channels at a time, and images have three: oneDNN takes
several times as long for it as for the gradient of the weights. A square block of the images'
gradient has the channels of all its pixels, and all blocks together are one ordinary convolution of
the output's gradient.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Blocks(NamedTuple):
    """How the gradient of a convolution's output becomes that of its input, block by block.

    Attributes:
        select: (block, taps, kernel) of zeros and ones: which tap of the kernel connects a pixel of
            the block with which output.
        step: the stride of the convolution that computes the blocks.
        first: the first output that a block depends on, relative to the block.
    """

    select: Tensor
    step: int
    first: int

    @classmethod
    def of(cls, kernel: int, stride: int, padding: int) -> "Blocks":
        """Return the blocks of a convolution with these sides."""
        block = max(stride, 2)
        select, first = _select(kernel, stride, padding, block)
        return cls(select, block // stride, first)

    def kernel(self, weight: Tensor) -> Tensor:
        """Return the weight of the convolution that computes the blocks, in channels last.

        ``weight`` is (out, channels, kernel, kernel); the result is (channels * block * block, out,
        taps, taps).
        """
        select = self.select.to(weight)
        kernel = torch.einsum("oiyx,ajy,bkx->iabojk", weight, select, select).flatten(0, 2)
        return kernel.contiguous(memory_format=torch.channels_last)

    def gradient(
        self, gradient: Tensor, size: Sequence[int], convolve: Callable[[Tensor, int], Tensor]
    ) -> Tensor:
        """Return the gradient of the input.

        Args:
            gradient: that of the output, (n, out, rows, columns).
            size: height and width of the input.
            convolve: takes a tensor and a padding for all four sides, and returns the convolution
                with :meth:`kernel` and the stride ``step``.
        """
        block, taps, _ = self.select.shape
        padding = list[int]()
        # functional.pad takes the last axis first.
        for pixels, outputs in zip(reversed(size), reversed(gradient.shape[2:]), strict=True):
            end = self.step * (-(-pixels // block) - 1) + self.first + taps
            padding += [-self.first, end - outputs]
        if len(set(padding)) == 1 and padding[0] >= 0:
            blocks = convolve(gradient, padding[0])
        else:
            blocks = convolve(functional.pad(gradient, padding), 0)
        return _pixels(blocks, block)[:, :, : size[0], : size[1]]


def _pixels(blocks: Tensor, block: int) -> Tensor:
    """Return the pixels of blocks (n, channels * block * block, rows, columns)."""
    if not blocks.is_contiguous(memory_format=torch.channels_last):
        return functional.pixel_shuffle(blocks, block)
    # pixel_shuffle is slow on channels last, and returns another memory format.
    n, _, rows, columns = blocks.shape
    split = blocks.permute(0, 2, 3, 1).view(n, rows, columns, -1, block, block)
    pixels = split.permute(0, 1, 4, 2, 5, 3).reshape(n, rows * block, columns * block, -1)
    return pixels.permute(0, 3, 1, 2)


@cache
def _select(kernel: int, stride: int, padding: int, block: int) -> tuple[Tensor, int]:
    """Return which taps of a kernel connect an output with a pixel of a block, along one axis.

    Through tap ``t``, the pixel ``p`` of a block contributes to the output (p + padding - t) /
    stride, counted from the block, if that is a whole number.

    Returns:
        (block, outputs, kernel) of zeros and ones, and the number of the first output.
    """
    connections = [
        (pixel, (pixel + padding - tap) // stride, tap)
        for pixel in range(block)
        for tap in range(kernel)
        if (pixel + padding - tap) % stride == 0
    ]
    outputs = [output for _, output, _ in connections]
    first = min(outputs)
    # The result is cached, so it must not be a tensor of the caller's inference mode.
    with torch.inference_mode(False):
        select = torch.zeros(block, max(outputs) - first + 1, kernel, device="cpu")
        for pixel, output, tap in connections:
            select[pixel, output - first, tap] = 1
    return select, first
