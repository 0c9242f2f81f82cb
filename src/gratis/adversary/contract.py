"""What an adversary is: whoever perturbs a training batch."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from gratis.data import Batch
from gratis.model import logits_of
from gratis.perturb import Classify
from gratis.seeds import generator
from gratis.settings import Settings

# Any module from images in [0, 1] to logits, or to an object that carries them as ``.logits``.
Model = nn.Module


class Adversary(ABC):
    """Perturbs training batches; the defaults are those of one that does so in a single pass.

    One batch in a training loop, at progress ``t`` in [0, 1]::

        for _ in range(adversary.replays(t)):
            images = adversary.perturb(model, batch, t)
            loss = ...  # of model(images)
            loss.backward()
            optimizer.step()
            adversary.observe(batch, t)
    """

    def replays(self, t: float) -> int:
        """Return how often a batch drawn at ``t`` is trained on: the paper's m."""
        return 1

    def passes(self) -> int:
        """Return how many passes through the classifier one replay of one view costs."""
        return 1

    @abstractmethod
    def perturb(self, model: Model, batch: Batch, t: float) -> Tensor:
        """Return what to train on: ``batch.views`` perturbed, in [0, 1], of the same shape."""

    def observe(self, batch: Batch, t: float) -> None:  # noqa: B027  most have nothing to learn
        """Learn from the backward pass through what :meth:`perturb` returned."""

    def describe(self, t: float) -> dict[str, float]:
        """Return the numbers in force at ``t``, for the logs."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything that later batches depend on."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:  # noqa: B027
        """Go on from a state that :meth:`state_dict` returned."""


class AdversarySettings(Settings):
    """The settings of one kind of adversary."""

    @abstractmethod
    def build(self, seed: int) -> Adversary:
        """Return the adversary; all its randomness comes from ``seed``."""


class AttackingAdversary(Adversary):
    """An adversary with an attack of its own, started from random noise."""

    def __init__(self, name: str, seed: int) -> None:
        """Start the sequence of noise that ``name`` and ``seed`` determine."""
        self._key = (name, seed)
        self._draws = 0

    def uniform(self, views: Tensor, width: float) -> Tensor:
        """Return the next noise, uniform in [-width, width], of the shape of ``views``."""
        source = generator(views.device, *self._key, self._draws)
        self._draws += 1
        return torch.empty_like(views).uniform_(-width, width, generator=source)

    def state_dict(self) -> dict[str, Tensor]:
        """Return how many times noise was drawn."""
        return {"draws": torch.tensor(self._draws)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on after that many draws."""
        self._draws = int(state["draws"])


def classify_with(model: Model) -> Classify:
    """Return ``model`` as the plain function from images to logits that attacks take."""
    return lambda images: logits_of(model(images))
