"""The running average of a network's weights, kept without waiting for the device."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class Average(AveragedModel):
    """Averages parameters and batch norm's statistics exponentially; counts are the latest ones.

    Torch's own update moves its count to the device at every step, and waits for that.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Start as a copy of ``module``; ``decay`` in (0, 1) is the weight of what was before."""
        super().__init__(module, use_buffers=True)
        self._decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take in the weights of ``model``; the first ones as they are."""
        pairs = list(zip(_tensors(self.module), _tensors(model), strict=True))
        first = bool(self.n_averaged == 0)  # on the CPU, wherever the weights are
        averaged = [] if first else [pair for pair in pairs if pair[0].is_floating_point()]
        if averaged:
            kept, latest = ([pair[k] for pair in averaged] for k in (0, 1))
            torch._foreach_lerp_(kept, latest, 1 - self._decay)
        for own, new in pairs:
            if first or not own.is_floating_point():
                own.copy_(new)
        self.n_averaged += 1


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
