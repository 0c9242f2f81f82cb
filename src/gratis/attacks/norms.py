"""Norm balls: the perturbations of an image whose norm is at most epsilon."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor

Norm = Literal["linf", "l2"]


class LpBall(ABC):
    """All perturbations whose norm is at most epsilon; another norm is another subclass.

    A ``delta`` is (n, 3, H, W) in units of pixel value. Every image has its own ball: the result
    for one image never depends on the others in the batch.
    """

    @abstractmethod
    def project(self, delta: Tensor, epsilon: float) -> Tensor:
        """Return the nearest perturbation inside the ball of size ``epsilon``."""

    @abstractmethod
    def size(self, delta: Tensor) -> Tensor:
        """Return the norm of each image's perturbation, (n,)."""

    def contains(self, delta: Tensor, epsilon: float) -> Tensor:
        """Return which perturbations are inside the ball of size ``epsilon``, (n,).

        A perturbation may exceed epsilon by the rounding of adding it to an image and subtracting
        the image again.
        """
        rounding = torch.full_like(delta[:1], torch.finfo(delta.dtype).eps)
        return self.size(delta) <= epsilon * (1 + 1e-6) + self.size(rounding)

    @abstractmethod
    def steepest_step(self, gradient: Tensor, step_size: float) -> Tensor:
        """Return the step of norm ``step_size`` that increases the loss most, to first order.

        An image whose gradient is zero gets a zero step.
        """

    @abstractmethod
    def random(self, shape: tuple[int, ...], epsilon: float, generator: torch.Generator) -> Tensor:
        """Draw perturbations uniformly from the ball, on the generator's device."""


class Linf(LpBall):
    """L-infinity: no pixel value changes by more than epsilon."""

    def project(self, delta: Tensor, epsilon: float) -> Tensor:
        """Clip every value to [-epsilon, epsilon]."""
        return delta.clamp(-epsilon, epsilon)

    def size(self, delta: Tensor) -> Tensor:
        """Return the largest change of a pixel value, up or down."""
        return delta.abs().amax((1, 2, 3))

    def steepest_step(self, gradient: Tensor, step_size: float) -> Tensor:
        """Step by the sign of the gradient (Goodfellow et al. 2015, section 4)."""
        return gradient.sign() * step_size

    def random(self, shape: tuple[int, ...], epsilon: float, generator: torch.Generator) -> Tensor:
        """Draw every value from [-epsilon, epsilon]."""
        draws = torch.rand(shape, **_float32(generator))
        return (2 * draws - 1) * epsilon


class L2(LpBall):
    """L2: the Euclidean length of an image's perturbation is at most epsilon."""

    def project(self, delta: Tensor, epsilon: float) -> Tensor:
        """Scale perturbations longer than epsilon to length epsilon."""
        return delta * (epsilon / _above_zero(_length(delta))).clamp(max=1)

    def size(self, delta: Tensor) -> Tensor:
        """Return the Euclidean length."""
        return _length(delta).flatten()

    def steepest_step(self, gradient: Tensor, step_size: float) -> Tensor:
        """Step along the gradient, scaled to length ``step_size``."""
        # A confident classifier has gradients whose squares underflow: scale before squaring.
        scaled = gradient / _above_zero(gradient.abs().amax((1, 2, 3), keepdim=True))
        # The largest entry is now 1, so only a zero gradient is shorter than that.
        return scaled * (step_size / _length(scaled).clamp(min=1))

    def random(self, shape: tuple[int, ...], epsilon: float, generator: torch.Generator) -> Tensor:
        """Draw a direction and a length: volume grows as the length to the power of 3HW."""
        direction = torch.randn(shape, **_float32(generator))
        draws = torch.rand((shape[0], 1, 1, 1), **_float32(generator))
        length = epsilon * draws ** (1 / direction[0].numel())
        return direction * (length / _length(direction))


def _length(delta: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(delta, dim=(1, 2, 3), keepdim=True)
    return length


def _float32(generator: torch.Generator) -> dict[str, Any]:
    """Return the arguments of a draw that does not depend on the caller's default dtype."""
    return {"generator": generator, "device": generator.device, "dtype": torch.float32}


def _above_zero(values: Tensor) -> Tensor:
    return values.clamp(min=torch.finfo(values.dtype).tiny)


BALLS: dict[Norm, LpBall] = {"linf": Linf(), "l2": L2()}
