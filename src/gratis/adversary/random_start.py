"""Attacks on training batches that start from random noise."""

import torch
from torch import Tensor

from gratis.adversary.base import Adversary
from gratis.schedule import Schedule
from gratis.seeds import generator


class RandomStartAdversary(Adversary):
    """An adversary that attacks each batch on its own, from random noise."""

    def __init__(self, name: str, seed: int, epsilon: Schedule) -> None:
        """Start the sequence of noise that ``name`` and ``seed`` determine."""
        self._key, self._epsilon = (name, seed), epsilon
        self._draws = 0

    def uniform(self, views: Tensor, width: float) -> Tensor:
        """Return the next noise, uniform in [-width, width], of the shape of ``views``."""
        source = generator(views.device, *self._key, self._draws)
        self._draws += 1
        return torch.empty_like(views).uniform_(-width, width, generator=source)

    def describe(self, t: float) -> dict[str, float]:
        """Return epsilon at ``t``."""
        return {"epsilon": self._epsilon(t)}

    def state_dict(self) -> dict[str, Tensor]:
        """Return the number of draws so far."""
        return {"draws": torch.tensor(self._draws, device="cpu")}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue after the saved number of draws."""
        self._draws = int(state["draws"])
