"""What free and cached training share: delta takes a step from the pass that trains the weights."""

import torch
from torch import Tensor


class Leaf:
    """The views of one replay with their delta; their gradient then moves it."""

    def __init__(self, views: Tensor, delta: Tensor, epsilon: float) -> None:
        """Add ``delta``, as many numbers as ``views``, clipped to [-epsilon, epsilon].

        ``images``, to train on, are (v*n, 3, height, width) in [0, 1].
        """
        # Clipped where it is used: a falling epsilon would leave stale noise outside the budget.
        self.delta = delta.clamp(-epsilon, epsilon).reshape(views.shape)
        # The leaf lies behind the clip to [0, 1]. In front of it black and white pixels would have
        # no gradient, and a delta that once points out of the range would never come back.
        self.images = (views + self.delta).clamp_(0, 1).requires_grad_()

    @torch.no_grad()
    def moved(self, step_size: float, epsilon: float) -> Tensor | None:
        """Return clip(delta + step_size * sign(grad), -epsilon, epsilon), of the views' shape.

        There is none before a backward pass through ``images``.
        """
        if self.images.grad is None:
            return None
        step = self.images.grad.sign().mul_(step_size)
        return step.add_(self.delta).clamp_(-epsilon, epsilon)
