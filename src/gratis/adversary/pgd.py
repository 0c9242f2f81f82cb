"""Multi-step adversarial training (Madry et al. 2018): strong, and k + 1 times the price."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from gratis.adversary.contract import (
    AdversarySettings,
    AttackingAdversary,
    Model,
    classify_with,
)
from gratis.data import Batch
from gratis.perturb import AttackSettings, ascend, frozen_statistics
from gratis.schedule import Constant, Scheduled, within


class PgdSettings(AdversarySettings):
    """PGD from a uniform random start.

    ``epsilon`` and ``step_size`` are in [0, 1] units; without a ``step_size`` the step is
    2.5 * epsilon / steps, and at most epsilon.
    """

    epsilon: Annotated[Scheduled, within(0, 1)] = Constant(value=8 / 255)
    steps: Annotated[int, Field(ge=1)] = 10
    step_size: Annotated[Scheduled, within(0, 1)] | None = None

    def build(self, seed: int) -> "Pgd":
        """Return the adversary."""
        return Pgd(self, seed)


class Pgd(AttackingAdversary):
    """Trains on images several projected steps up the cross entropy."""

    def __init__(self, settings: PgdSettings, seed: int) -> None:
        """Start a sequence of random starts from ``seed``."""
        super().__init__("pgd", seed)
        self.settings = settings

    def passes(self) -> int:
        """Return one pass a step, and one for the training."""
        return self.settings.steps + 1

    def perturb(self, model: Model, batch: Batch, t: float) -> Tensor:
        """Return the attacked views, within epsilon of the views and in [0, 1]."""
        epsilon = self.settings.epsilon(t)
        attack = AttackSettings(
            epsilon=epsilon,
            steps=self.settings.steps,
            step_size=self.settings.step_size(t) if self.settings.step_size else None,
        )
        classify, start = classify_with(model), self.uniform(batch.views, epsilon)
        with frozen_statistics(model):
            return batch.by_part(
                lambda views, start, labels: ascend(classify, views, labels, attack, start),
                batch.views,
                start,
            )

    def describe(self, t: float) -> dict[str, float]:
        """Return epsilon at ``t``."""
        return {"epsilon": self.settings.epsilon(t)}
