"""The budget of a perturbation: a ball of size epsilon in some norm, per image."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor

Norm = Literal["linf", "l2"]


class LpBall(ABC):
    """All perturbations whose norm is at most epsilon.

    A ``delta`` is (n, 3, H, W) in units of pixel value; every image has its own ball, and what
    happens to one image never depends on its neighbours in the batch.
    """

    @abstractmethod
    def project(self, delta: Tensor, epsilon: float) -> Tensor:
        """Return the nearest perturbation inside the ball of size ``epsilon``."""

    @abstractmethod
    def size(self, delta: Tensor) -> Tensor:
        """Return the norm of each image's perturbation, (n,)."""

    def contains(self, delta: Tensor, epsilon: float) -> Tensor:
        """Return which perturbations are inside the ball of size ``epsilon``, (n,).

        Adding a perturbation to an image and taking it off again rounds every pixel; so much
        more than epsilon is let pass.
        """
        everywhere = torch.full_like(delta[:1], torch.finfo(delta.dtype).eps)
        return self.size(delta) <= epsilon * (1 + 1e-6) + self.size(everywhere)

    @abstractmethod
    def steepest_step(self, gradient: Tensor, step_size: float) -> Tensor:
        """Return the step of norm ``step_size`` along which the loss rises most steeply.

        Where the gradient of an image is zero, so is its step.
        """

    @abstractmethod
    def random(self, shape: tuple[int, ...], epsilon: float, generator: torch.Generator) -> Tensor:
        """Draw perturbations uniformly from the ball, on the generator's device.

        Args:
            shape: (n, 3, H, W).
            epsilon: the size of the ball.
            generator: the source of the draws.
        """


class Linf(LpBall):
    """No pixel value changes by more than epsilon."""

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
        draws = torch.rand(shape, generator=generator, device=generator.device)
        return (2 * draws - 1) * epsilon


class L2(LpBall):
    """The Euclidean length of an image's change is at most epsilon."""

    def project(self, delta: Tensor, epsilon: float) -> Tensor:
        """Shorten what is longer than epsilon."""
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
        direction = torch.randn(shape, generator=generator, device=generator.device)
        draws = torch.rand((shape[0], 1, 1, 1), generator=generator, device=generator.device)
        length = epsilon * draws ** (1 / direction[0].numel())
        return direction * (length / _length(direction))


def _length(delta: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(delta, dim=(1, 2, 3), keepdim=True)
    return length


def _above_zero(values: Tensor) -> Tensor:
    return values.clamp(min=torch.finfo(values.dtype).tiny)


BALLS: dict[Norm, LpBall] = {"linf": Linf(), "l2": L2()}
