"""Single-step adversarial training: Fast-AT (Wong et al. 2020) and N-FGSM (de Jorge et al. 2022).

Two backward passes a replay: one for the perturbation, one for the weights.
"""

from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from gratis.adversary.contract import (
    AdversarySettings,
    AttackingAdversary,
    Model,
    classify_with,
)
from gratis.data import Batch
from gratis.perturb import frozen_statistics, input_gradient
from gratis.schedule import Constant, Scheduled, within


class FgsmSettings(AdversarySettings):
    """One signed step from uniform noise; the defaults are N-FGSM.

    ``epsilon`` and ``step_size`` are in [0, 1] units; without a ``step_size`` the step is
    epsilon. ``noise`` is the width of the random start in multiples of epsilon. ``project``
    brings the sum of both back to epsilon, as Fast-AT does (with noise 1 and a step of 1.25
    epsilon) and N-FGSM does not: it may reach (1 + noise) * epsilon.
    """

    epsilon: Annotated[Scheduled, within(0, 1)] = Constant(value=8 / 255)
    step_size: Annotated[Scheduled, within(0, 1)] | None = None
    noise: Annotated[float, Field(ge=0)] = 2.0
    project: bool = False

    def build(self, seed: int) -> "Fgsm":
        """Return the adversary."""
        return Fgsm(self, seed)


class Fgsm(AttackingAdversary):
    """Trains on images one step up from noise."""

    def __init__(self, settings: FgsmSettings, seed: int) -> None:
        """Start a sequence of noise from ``seed``."""
        super().__init__("fgsm", seed)
        self.settings = settings

    def passes(self) -> int:
        """Return 2: one for the step, one for the training."""
        return 2

    def perturb(self, model: Model, batch: Batch, t: float) -> Tensor:
        """Return the views one step up the cross entropy, clipped to [0, 1]."""
        epsilon = self.settings.epsilon(t)
        step_size = (self.settings.step_size or self.settings.epsilon)(t)
        noise = self.uniform(batch.views, self.settings.noise * epsilon)
        start = (batch.views + noise).clamp(0, 1)
        with frozen_statistics(model):
            gradient = batch.by_part(partial(input_gradient, classify_with(model)), start)
        delta = noise + step_size * torch.sign(gradient)
        if self.settings.project:
            delta = delta.clamp(-epsilon, epsilon)
        return (batch.views + delta).clamp(0, 1)

    def describe(self, t: float) -> dict[str, float]:
        """Return epsilon at ``t``."""
        return {"epsilon": self.settings.epsilon(t)}
