"""Convolutions whose weights never change, laid out once as the processor wants them.

oneDNN lays the weights out at every call, forwards and backwards: most of the time where images
are few.
"""

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gratis.cpu.stem import Blocks, Stem

# What torch's own compiler calls for such weights.
_onednn = torch.ops.mkldnn


class Packed(nn.Module):
    """A convolution with constant weights: its output, and its input's gradient, on a CPU.

    It computes in float32, and stays as and where it is: torch can neither copy nor convert
    weights that are laid out.
    """

    bias: Tensor | None

    def __init__(self, layer: nn.Conv2d, seen: Tensor) -> None:
        """Take the place of ``layer``, which can be packed, for inputs (n, in, H, W) as ``seen``.

        Others can be larger or more; they only may not gain as much.
        """
        super().__init__()
        self.kernel_size, self.stride = layer.kernel_size, layer.stride
        self.padding: Any = layer.padding
        self.register_buffer("bias", layer.bias)
        with torch.no_grad():
            made = layer(seen)
        weight = layer.weight.detach()
        self._forth = _laid_out(weight, seen, self.stride, self.padding)
        self._blocks = Blocks.of(*_sides(layer)) if type(layer) is Stem else None
        if self._blocks is not None:
            step = (self._blocks.step,) * 2
            self._back = _laid_out(self._blocks.kernel(weight), made, step, (0, 0))
        else:
            extra = self._extra(seen.shape[2:], made.shape[2:])
            sides = self.padding, extra, self.stride, (1, 1), 1, made.shape
            self._back = _onednn._reorder_convolution_transpose_weight(weight.contiguous(), *sides)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the convolution of ``inputs`` (n, in, H, W), in float32."""
        inputs = inputs.float()
        if inputs.requires_grad and torch.is_grad_enabled():
            convolved: Tensor = _Convolve.apply(inputs, self)
            return convolved
        return self.convolve(inputs)

    def convolve(self, inputs: Tensor) -> Tensor:
        """Return the convolution."""
        return _convolve(inputs, self._forth, self.bias, self.stride, self.padding)

    def gradient(self, gradient: Tensor, size: torch.Size) -> Tensor:
        """Return the gradient of inputs of the ``size`` (H, W) from that of the output."""
        if self._blocks is not None:
            step = (self._blocks.step,) * 2
            return self._blocks.gradient(
                gradient,
                size,
                lambda padded, around: _convolve(padded, self._back, None, step, (around,) * 2),
            )
        extra = self._extra(size, gradient.shape[2:])
        sides = self.padding, extra, self.stride, (1, 1), 1
        found: Tensor = _onednn._convolution_transpose_pointwise(
            gradient, self._back, None, *sides, "none", [], ""
        )
        return found

    def _extra(self, size: torch.Size, made: torch.Size) -> list[int]:
        """Return by how much inputs are larger than their output needs, (2,)."""
        sides = zip(size, made, self.kernel_size, self.stride, self.padding, strict=True)
        return [
            pixels - ((outputs - 1) * stride + kernel - 2 * padding)
            for pixels, outputs, kernel, stride, padding in sides
        ]


def packable(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether a layer can be :class:`Packed` here."""
    return (
        type(layer) in (nn.Conv2d, Stem)
        and isinstance(layer, nn.Conv2d)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and layer.dilation == (1, 1)
        and not isinstance(layer.padding, str)
        and layer.weight.device.type == "cpu"
        and layer.weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and not _is_changed(layer)
    )


def _is_changed(layer: nn.Module) -> bool:
    """Return whether somebody has hooked himself onto a layer, or given it another forward."""
    hooked = (value for name, value in vars(layer).items() if name.endswith("_hooks"))
    return any(hooked) or "forward" in vars(layer)


def _sides(layer: nn.Conv2d) -> tuple[int, int, int]:
    """Return kernel, stride and padding of a layer whose are the same along both sides."""
    return layer.kernel_size[0], layer.stride[0], int(layer.padding[0])


def _laid_out(weight: Tensor, seen: Tensor, stride: Any, padding: Any) -> Tensor:
    laid_out: Tensor = _onednn._reorder_convolution_weight(
        weight, padding, stride, (1, 1), 1, seen.shape
    )
    return laid_out


def _convolve(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any
) -> Tensor:
    sides = padding, stride, (1, 1), 1
    convolved: Tensor = _onednn._convolution_pointwise(inputs, weight, bias, *sides, "none", [], "")
    return convolved


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, inputs: Tensor, layer: Packed) -> Tensor:
        context.layer, context.size = layer, inputs.shape[2:]
        return layer.convolve(inputs)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return context.layer.gradient(gradient, context.size), None
