"""The running average of the weights, evaluated in their place."""

from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class WeightAverage(AveragedModel):
    """An exponential moving average of a network's weights and batch norm statistics.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that a short run does not keep
    its initial weights. The update of torch's own class waits for the device at every step; this
    one does not.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Start as a copy of ``module``; ``decay`` is in (0, 1)."""
        super().__init__(module, use_buffers=True)
        self._decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Update the average with the weights of ``model``.

        The first update copies the weights; integer buffers are always copied.
        """
        updates = int(self.n_averaged)  # on the CPU, on any device
        kept = min(self._decay, (1 + updates) / (10 + updates)) if updates else 0.0
        pairs = list(zip(_tensors(self.module), _tensors(model), strict=True))
        averaged = [pair for pair in pairs if kept and pair[0].is_floating_point()]
        if averaged:
            old, new = ([pair[k] for pair in averaged] for k in (0, 1))
            torch._foreach_lerp_(old, new, 1 - kept)
        for mean, latest in pairs:
            if not (kept and mean.is_floating_point()):
                mean.copy_(latest)
        self.n_averaged += 1


def _tensors(module: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in chain(module.parameters(), module.buffers())]
