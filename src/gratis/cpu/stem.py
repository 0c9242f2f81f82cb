"""The convolution of the images, with a quicker gradient of them on a CPU.

A processor computes the gradient of many channels at a time, and images have three: oneDNN takes
several times as long for it as for that of the weights. A square block of the images' gradient
has the channels of all its pixels, and all blocks together are one ordinary convolution of what
comes back.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight

# Beyond that, a block gains nothing.
_FEW_CHANNELS = 4


class Stem(nn.Conv2d):
    """A convolution with the same parameters, output and gradients, up to rounding."""

    @classmethod
    def of(cls, layer: nn.Conv2d) -> "Stem":
        """Return a stem with the very parameters of ``layer``, which must be one that suits."""
        # Without memory of its own, and without drawing a random number.
        with torch.device("meta"):
            stem = cls(
                layer.in_channels,
                layer.out_channels,
                layer.kernel_size,  # type: ignore[arg-type]  # a pair, as torch keeps it
                layer.stride,  # type: ignore[arg-type]
                layer.padding,  # type: ignore[arg-type]
                bias=False,
            )
        stem.weight, stem.bias = layer.weight, layer.bias
        return stem.train(layer.training)

    def forward(self, images: Tensor) -> Tensor:
        """Return the convolution of images (n, channels, height, width)."""
        # A compiler does better with what it knows.
        compiled = torch.compiler.is_compiling()
        plain = compiled or images.device.type != "cpu" or torch.is_autocast_enabled("cpu")
        if plain or not images.requires_grad or not torch.is_grad_enabled():
            return super().forward(images)
        sides = int(self.stride[0]), int(self.padding[0])
        convolved: Tensor = _Convolve.apply(images, self.weight, self.bias, *sides)
        return convolved


def suits(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether a :class:`Stem` can stand in the place of ``layer``, and would pay there."""
    return (
        type(layer) is nn.Conv2d
        and layer.in_channels <= _FEW_CHANNELS
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and layer.dilation == (1, 1)
        and not isinstance(layer.padding, str)
        and all(len(set(sides)) == 1 for sides in (layer.kernel_size, layer.stride, layer.padding))
        and layer.stride[0] < layer.kernel_size[0]
    )


def quicken(network: nn.Module) -> bool:
    """Put a :class:`Stem` wherever one suits; return whether there was such a place."""
    places = [
        (part, name)
        for part in network.modules()
        for name, child in part.named_children()
        if suits(child)
    ]
    for part, name in places:
        setattr(part, name, Stem.of(getattr(part, name)))
    return bool(places)


class _Convolve(torch.autograd.Function):
    # Apart from each other, and vectorised by torch itself, as torch.func wants them.
    generate_vmap_rule = True

    @staticmethod
    def forward(
        images: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        return functional.conv2d(images, weight, bias, stride, padding)

    @staticmethod
    def setup_context(context: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        images, weight, _, *context.sides = inputs
        context.save_for_backward(images, weight)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (images, weight), (stride, padding) = context.saved_tensors, context.sides
        of_images, of_weight, of_bias, *_ = context.needs_input_grad
        return (
            _of_images(gradient, weight, stride, padding, images) if of_images else None,
            conv2d_weight(images, weight.shape, gradient, stride, padding) if of_weight else None,
            gradient.sum((0, 2, 3)) if of_bias else None,
            None,
            None,
        )


def _of_images(
    gradient: Tensor, weight: Tensor, stride: int, padding: int, images: Tensor
) -> Tensor:
    """Return the images' gradient from that of the output; in memory it lies as they do."""
    how = Blocks.of(weight.shape[-1], stride, padding)
    kernel = how.kernel(weight)
    found = how.gradient(
        gradient,
        images.shape[2:],
        lambda padded, around: functional.conv2d(padded, kernel, stride=how.step, padding=around),
    )
    layout = torch.contiguous_format
    if images.is_contiguous(memory_format=torch.channels_last):
        layout = torch.channels_last
    return found.contiguous(memory_format=layout)


class Blocks(NamedTuple):
    """How the gradient of a stem's output becomes that of its images, block by block.

    The blocks are a convolution with stride ``step``. ``select`` (block, taps, kernel) says
    which tap of the stem leads from which output to which pixel; the outputs begin at ``first``.
    """

    select: Tensor
    step: int
    first: int

    @classmethod
    def of(cls, kernel: int, stride: int, padding: int) -> "Blocks":
        """Return how, for a stem with these sides."""
        block = max(stride, 2)
        select, first = _select(kernel, stride, padding, block)
        return cls(select, block // stride, first)

    def kernel(self, weight: Tensor) -> Tensor:
        """Return the convolution's weight from the stem's, (out, channels, kernel, kernel).

        It is (channels * block * block, out, taps, taps).
        """
        apart = self.select.to(weight)
        kernel = torch.einsum("oiyx,ajy,bkx->iabojk", weight, apart, apart).flatten(0, 2)
        return kernel.contiguous(memory_format=torch.channels_last)

    def gradient(
        self, gradient: Tensor, size: Sequence[int], convolve: Callable[[Tensor, int], Tensor]
    ) -> Tensor:
        """Return the gradient of the images.

        Args:
            gradient: that of the output, (n, out, rows, columns).
            size: height and width of the images.
            convolve: convolves with :meth:`kernel` and the stride ``step`` what it is given, with
                so many zeros at all four sides.
        """
        block, taps, _ = self.select.shape
        around = list[int]()
        # The last axis comes first.
        for pixels, made in zip(reversed(size), reversed(gradient.shape[2:]), strict=True):
            reached = self.step * (-(-pixels // block) - 1) + self.first + taps
            around += [-self.first, reached - made]
        if len(set(around)) == 1 and around[0] >= 0:
            blocks = convolve(gradient, around[0])
        else:
            blocks = convolve(functional.pad(gradient, around), 0)
        return _spread(blocks, block)[:, :, : size[0], : size[1]]


def _spread(blocks: Tensor, block: int) -> Tensor:
    """Return the pixels of blocks (n, channels * block * block, rows, columns)."""
    if not blocks.is_contiguous(memory_format=torch.channels_last):
        return functional.pixel_shuffle(blocks, block)
    # Which would leave channels last, and be slow about it.
    n, _, rows, columns = blocks.shape
    apart = blocks.permute(0, 2, 3, 1).view(n, rows, columns, -1, block, block)
    pixels = apart.permute(0, 1, 4, 2, 5, 3).reshape(n, rows * block, columns * block, -1)
    return pixels.permute(0, 3, 1, 2)


@cache
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
