"""A network's first convolution with a quicker gradient of the images on a CPU."""

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from gratis.cpu.blocks import Blocks

# With more channels, computing in blocks gains nothing.
_FEW_CHANNELS = 4


class QuickStem(nn.Conv2d):
    """A convolution with the same parameters, output and gradients, up to rounding."""

    @classmethod
    def of(cls, layer: nn.Conv2d) -> "QuickStem":
        """Return a quick stem with the parameters of ``layer``, which must be replaceable."""
        # On the meta device it allocates no memory and draws no random numbers.
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
        # A compiler optimises the plain convolution better.
        compiled = torch.compiler.is_compiling()
        plain = compiled or images.device.type != "cpu" or torch.is_autocast_enabled("cpu")
        if plain or not images.requires_grad or not torch.is_grad_enabled():
            return super().forward(images)
        sides = int(self.stride[0]), int(self.padding[0])
        convolved: Tensor = _Convolve.apply(images, self.weight, self.bias, *sides)
        return convolved


def is_replaceable(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether a :class:`QuickStem` computes the same as ``layer``, and is quicker."""
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


def use_quick_stem(network: nn.Module) -> bool:
    """Replace every convolution that can be a :class:`QuickStem`; return whether there was one.

    The parameters, their names and the random generators do not change. Apply it to a network that
    is trained or attacked on a CPU; on other devices a quick stem is the plain convolution.
    """
    found = [
        (part, name)
        for part in network.modules()
        for name, child in part.named_children()
        if is_replaceable(child)
    ]
    for part, name in found:
        setattr(part, name, QuickStem.of(getattr(part, name)))
    return bool(found)


class _Convolve(torch.autograd.Function):
    # With a separate setup_context, this lets torch.func vectorise the function.
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
    """Return the images' gradient from that of the output, in the images' memory format."""
    blocks = Blocks.of(weight.shape[-1], stride, padding)
    kernel = blocks.kernel(weight)
    found = blocks.gradient(
        gradient,
        images.shape[2:],
        lambda padded, sides: functional.conv2d(padded, kernel, stride=blocks.step, padding=sides),
    )
    layout = torch.contiguous_format
    if images.is_contiguous(memory_format=torch.channels_last):
        layout = torch.channels_last
    return found.contiguous(memory_format=layout)
