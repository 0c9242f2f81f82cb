"""Convolutions with constant weights in the memory layout of oneDNN, prepared once.

oneDNN reorders the weights at every call, forward and backward, which takes most of the time where
images are few. The operators that avoid this are private to torch and may change with any version:
``tests/cpu/test_packing.py`` has their signatures.
"""

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gratis.cpu.blocks import Blocks
from gratis.cpu.quick_stem import QuickStem

_onednn = torch.ops.mkldnn


class PackedConv2d(nn.Module):
    """A convolution with constant weights: its output, and the gradient of its input, on a CPU.

    It computes in float32. It can be neither copied nor converted nor moved, because torch cannot
    do so with packed weights.
    """

    bias: Tensor | None

    def __init__(self, layer: nn.Conv2d, example: Tensor) -> None:
        """Pack ``layer``, for inputs (n, in, H, W) of the shape of ``example``.

        Inputs of other shapes give the right output too, but may gain less.
        """
        super().__init__()
        self.kernel_size, self.stride = layer.kernel_size, layer.stride
        self.padding: Any = layer.padding
        self.register_buffer("bias", layer.bias)
        with torch.no_grad():
            output = layer(example)
        weight = layer.weight.detach()
        self._forward_weight = _reordered(weight, example, self.stride, self.padding)
        self._blocks = Blocks.of(*_sides(layer)) if type(layer) is QuickStem else None
        if self._blocks is not None:
            step = (self._blocks.step,) * 2
            self._backward_weight = _reordered(self._blocks.kernel(weight), output, step, (0, 0))
        else:
            extra = self._extra(example.shape[2:], output.shape[2:])
            sides = self.padding, extra, self.stride, (1, 1), 1, output.shape
            self._backward_weight = _onednn._reorder_convolution_transpose_weight(
                weight.contiguous(), *sides
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the convolution of ``inputs`` (n, in, H, W), in float32."""
        inputs = inputs.float()
        if inputs.requires_grad and torch.is_grad_enabled():
            convolved: Tensor = _Convolve.apply(inputs, self)
            return convolved
        return self.convolve(inputs)

    def convolve(self, inputs: Tensor) -> Tensor:
        """Return the convolution of ``inputs``, without a gradient."""
        return _convolve(inputs, self._forward_weight, self.bias, self.stride, self.padding)

    def gradient(self, gradient: Tensor, size: torch.Size) -> Tensor:
        """Return the gradient of inputs of the ``size`` (H, W) from that of the output."""
        weight = self._backward_weight
        if self._blocks is not None:
            step = (self._blocks.step,) * 2
            return self._blocks.gradient(
                gradient,
                size,
                lambda padded, sides: _convolve(padded, weight, None, step, (sides,) * 2),
            )
        extra = self._extra(size, gradient.shape[2:])
        sides = self.padding, extra, self.stride, (1, 1), 1
        found: Tensor = _onednn._convolution_transpose_pointwise(
            gradient, weight, None, *sides, "none", [], ""
        )
        return found

    def _extra(self, size: torch.Size, outputs: torch.Size) -> list[int]:
        """Return by how much inputs are larger than their output needs, (2,)."""
        sides = zip(size, outputs, self.kernel_size, self.stride, self.padding, strict=True)
        return [
            pixels - ((count - 1) * stride + kernel - 2 * padding)
            for pixels, count, kernel, stride, padding in sides
        ]


def is_packable(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether a layer can be a :class:`PackedConv2d` on this machine."""
    return (
        type(layer) in (nn.Conv2d, QuickStem)
        and isinstance(layer, nn.Conv2d)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and layer.dilation == (1, 1)
        and not isinstance(layer.padding, str)
        and layer.weight.device.type == "cpu"
        and layer.weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and not _is_customised(layer)
    )


def _is_customised(layer: nn.Module) -> bool:
    """Return whether a layer has hooks, or a forward method of its own."""
    hooks = (value for name, value in vars(layer).items() if name.endswith("_hooks"))
    return any(hooks) or "forward" in vars(layer)


def _sides(layer: nn.Conv2d) -> tuple[int, int, int]:
    """Return the kernel, stride and padding of a layer that has the same along both axes."""
    return layer.kernel_size[0], layer.stride[0], int(layer.padding[0])


def _reordered(weight: Tensor, example: Tensor, stride: Any, padding: Any) -> Tensor:
    reordered: Tensor = _onednn._reorder_convolution_weight(
        weight, padding, stride, (1, 1), 1, example.shape
    )
    return reordered


def _convolve(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any
) -> Tensor:
    sides = padding, stride, (1, 1), 1
    convolved: Tensor = _onednn._convolution_pointwise(inputs, weight, bias, *sides, "none", [], "")
    return convolved


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, inputs: Tensor, layer: PackedConv2d) -> Tensor:
        context.layer, context.size = layer, inputs.shape[2:]
        return layer.convolve(inputs)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return context.layer.gradient(gradient, context.size), None
