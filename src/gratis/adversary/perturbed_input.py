"""The perturbed images of one replay: their gradient moves delta, at no extra pass."""

import torch
from torch import Tensor

from gratis.attacks import LpBall
from gratis.errors import GratisError


def like_images(rows: Tensor) -> Tensor:
    """Return rows (..., 3, height, width) in the images' memory format, channels last."""
    return rows.movedim(-3, -1).contiguous().movedim(-1, -3)


class PerturbedInput:
    """The views of one replay with delta added.

    Attributes:
        delta: what was added, of the views' shape (v*n, 3, height, width), within epsilon.
        images: what to train on, of the same shape, in [0, 1]; a leaf tensor that receives the
            gradient of the training loss.
    """

    def __init__(self, views: Tensor, delta: Tensor, ball: LpBall, epsilon: float) -> None:
        """Add ``delta``, as many numbers as ``views``, projected into the ball of size epsilon."""
        self._ball = ball
        # Projected where it is used: after epsilon falls, the stored delta may exceed it.
        self.delta = ball.project(delta.reshape(views.shape), epsilon)
        # The leaf tensor comes after the clip to [0, 1]. Before it, black and white pixels would
        # have no gradient, and a delta that points out of the range would never come back.
        self.images = (views + self.delta).clamp_(0, 1).detach().requires_grad_()

    @torch.no_grad()
    def stepped_delta(self, step_size: float, epsilon: float) -> Tensor:
        """Return delta after one step up the loss, projected, of the views' shape.

        In L-infinity that is clip(delta + step_size * sign(grad), -epsilon, epsilon).

        Raises:
            GratisError: no backward pass has reached ``images``.
        """
        if self.images.grad is None:
            raise GratisError(
                "the last replay's images received no gradient; call loss.backward() on a loss of "
                "model(images) for the very images of the replay, not a detached copy and not "
                "under torch.no_grad()"
            )
        step = self._ball.steepest_step(self.images.grad, step_size)
        return self._ball.project(step.add_(self.delta), epsilon)
