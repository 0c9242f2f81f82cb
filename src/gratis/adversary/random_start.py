"""Attacks on training batches that start from random noise."""

import torch
from torch import Tensor

from gratis.adversary.base import Adversary
from gratis.adversary.perturbed_input import like_images
from gratis.attacks import BALLS, Norm
from gratis.data import Batch
from gratis.schedule import Schedule
from gratis.seeds import generator


class RandomStartAdversary(Adversary):
    """An adversary that attacks each batch on its own, from random noise."""

    def __init__(self, name: str, seed: int, epsilon: Schedule, norm: Norm) -> None:
        """Start the sequence of noise that ``name`` and ``seed`` determine."""
        self._key, self._epsilon, self._norm = (name, seed), epsilon, norm
        self._draws = 0

    def noise(self, batch: Batch, size: float) -> Tensor:
        """Return the next noise, uniform in the norm ball, of the shape of the views."""
        views = batch.views
        source = generator(views.device, *self._key, self._draws)
        self._draws += 1
        # Of all ranks, so that their number changes no draw.
        shape = (batch.view_count * batch.all_images, *views.shape[1:])
        whole = batch.total is None
        noise = torch.empty_like(views) if whole else like_images(views.new_empty(shape))
        if self._norm == "linf":  # in one call, without temporary tensors
            noise.uniform_(-size, size, generator=source)
        else:
            noise.copy_(BALLS[self._norm].random(shape, size, source))
        return batch.rows_of_rank(noise)

    def describe(self, t: float) -> dict[str, float]:
        """Return epsilon at ``t``."""
        return {"epsilon": self._epsilon(t)}

    def state_dict(self) -> dict[str, Tensor]:
        """Return the number of draws so far."""
        return {"draws": torch.tensor(self._draws, device="cpu")}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue after the saved number of draws."""
        self._draws = int(state["draws"])
