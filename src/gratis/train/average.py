"""The running average of the weights, evaluated in their place."""

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class Average(AveragedModel):
    """An exponential average of a network's weights and of its batch norms' statistics.

    After n updates the decay is min(decay, (1 + n) / (10 + n)): a short run, too, soon forgets
    the weights that it began with.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Start with a copy of ``module``; ``decay`` is in (0, 1)."""
        self._decay = decay
        super().__init__(module, multi_avg_fn=self._move, use_buffers=True)

    @torch.no_grad()
    def _move(self, averaged: Any, current: Any, _: Any) -> None:
        # Its own count, on the CPU: that on the device would be waited for.
        updates = int(self.n_averaged)
        share = 1 - min(self._decay, (1 + updates) / (10 + updates))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, share)
        else:
            # What counts batches is no weight to be averaged.
            torch._foreach_copy_(averaged, current)
