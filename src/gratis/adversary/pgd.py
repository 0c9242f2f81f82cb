"""PGD training (Madry et al. 2018): several projected steps, k + 1 passes a replay."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from gratis.adversary.base import Model, NormSettings
from gratis.adversary.random_start import RandomStartAdversary
from gratis.attacks import AttackSettings, Norm, frozen_statistics, run_pgd
from gratis.data import Batch
from gratis.model import classify_with
from gratis.schedule import Constant, Scheduled, ScheduleLike, within
from gratis.settings import validate


class PGDSettings(NormSettings):
    """PGD from a uniform random start; ``epsilon`` and ``step_size`` may be schedules.

    Attributes:
        epsilon: the norm of the perturbation, in [0, 1] units of pixel value. In a recipe, the
            default is ``evaluate.epsilon``, or ``evaluate.epsilon_l2`` in L2.
        steps: gradient steps.
        step_size: the size of one step, in the same units as epsilon. Default:
            2.5 * epsilon / steps, and at most epsilon.
    """

    epsilon: Annotated[Scheduled, within(0)] = Constant(value=8 / 255)
    steps: Annotated[int, Field(ge=1)] = 10
    step_size: Annotated[Scheduled, within(0)] | None = None

    def build(self, seed: int) -> "PGDAT":
        """Return the adversary."""
        return PGDAT(**dict(self), seed=seed)


class PGDAT(RandomStartAdversary):
    """Trains on images that are several projected steps away from a random start."""

    def __init__(
        self,
        *,
        epsilon: ScheduleLike = 8 / 255,
        steps: int = 10,
        step_size: ScheduleLike | None = None,
        norm: Norm = "linf",
        seed: int = 0,
    ) -> None:
        """Take the fields of :class:`PGDSettings`, and the seed of the random starts.

        Raises:
            GratisError: a value is out of range.
        """
        given = {"epsilon": epsilon, "steps": steps, "step_size": step_size, "norm": norm}
        self.settings = validate(PGDSettings, given, "PGDAT")
        super().__init__("pgd", seed, self.settings.epsilon, norm)

    def passes(self) -> int:
        """Return one pass a step, and one for the training."""
        return self.settings.steps + 1

    def perturb(self, model: Model, batch: Batch, t: float, micro_batches: int = 1) -> Tensor:
        """Return the attacked views, within epsilon of the views and in [0, 1]."""
        epsilon = self.settings.epsilon(t)
        attack = AttackSettings(
            epsilon=epsilon,
            norm=self.settings.norm,
            steps=self.settings.steps,
            step_size=self.settings.step_size(t) if self.settings.step_size else None,
            loss="plain_cross_entropy",
        )
        classify, start = classify_with(model), self.noise(batch, epsilon)
        with frozen_statistics(model):
            return batch.in_micro_batches(
                micro_batches,
                lambda views, start, labels: run_pgd(classify, views, labels, attack, start),
                batch.views,
                start,
            )
