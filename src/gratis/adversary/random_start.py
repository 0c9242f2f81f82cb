"""Attacks on training batches that start from random noise."""

import torch
from torch import Tensor

from gratis.adversary.base import Adversary
from gratis.attacks import BALLS, Norm
from gratis.schedule import Schedule
from gratis.seeds import generator


class RandomStartAdversary(Adversary):
    """An adversary that attacks each batch on its own, from random noise."""

    def __init__(self, name: str, seed: int, epsilon: Schedule, norm: Norm) -> None:
        """Start the sequence of noise that ``name`` and ``seed`` determine."""
        self._key, self._epsilon, self._norm = (name, seed), epsilon, norm
        self._draws = 0

    def noise(self, views: Tensor, size: float) -> Tensor:
        """Return the next noise, uniform in the norm ball, of the shape of ``views``."""
        source = generator(views.device, *self._key, self._draws)
        self._draws += 1
        noise = torch.empty_like(views)
        if self._norm == "linf":  # in one call, without temporary tensors
            return noise.uniform_(-size, size, generator=source)
        return noise.copy_(BALLS[self._norm].random(tuple(views.shape), size, source))

    def describe(self, t: float) -> dict[str, float]:
        """Return epsilon at ``t``."""
        return {"epsilon": self._epsilon(t)}

    def state_dict(self) -> dict[str, Tensor]:
        """Return the number of draws so far."""
        return {"draws": torch.tensor(self._draws, device="cpu")}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue after the saved number of draws."""
        self._draws = int(state["draws"])
