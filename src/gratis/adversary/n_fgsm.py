"""N-FGSM (de Jorge et al. 2022): one step from wide noise, without projection.

Two passes a replay: one for the perturbation, one for the weights.
"""

from functools import partial
from typing import Annotated

from pydantic import Field
from torch import Tensor

from gratis.adversary.base import Model, NormSettings
from gratis.adversary.random_start import RandomStartAdversary
from gratis.attacks import LpBall, Norm, frozen_statistics, input_gradient
from gratis.data import Batch
from gratis.model import classify_with
from gratis.schedule import Constant, Scheduled, ScheduleLike, within
from gratis.settings import validate


class NFGSMSettings(NormSettings):
    """N-FGSM; ``epsilon`` and ``step_size`` may be schedules.

    Attributes:
        epsilon: the size of the perturbation, in [0, 1] units of pixel value. In a recipe, the
            default is ``evaluate.epsilon``, or ``evaluate.epsilon_l2`` in L2.
        step_size: the norm of the step, in the same units. Default: epsilon.
        noise: the width of the random start, in multiples of epsilon. The sum of noise and step
            may reach (1 + noise) * epsilon where the step is epsilon.
    """

    epsilon: Annotated[Scheduled, within(0)] = Constant(value=8 / 255)
    step_size: Annotated[Scheduled, within(0)] | None = None
    noise: Annotated[float, Field(ge=0)] = 2.0

    def build(self, seed: int) -> "NFGSM":
        """Return the adversary."""
        return NFGSM(**dict(self), seed=seed)


class NFGSM(RandomStartAdversary):
    """Trains on images that are one step away from wide random noise."""

    def __init__(
        self,
        *,
        epsilon: ScheduleLike = 8 / 255,
        step_size: ScheduleLike | None = None,
        noise: float = 2.0,
        norm: Norm = "linf",
        seed: int = 0,
    ) -> None:
        """Take the fields of :class:`NFGSMSettings`, and the seed of the noise.

        Raises:
            GratisError: a value is out of range.
        """
        given = {"epsilon": epsilon, "step_size": step_size, "noise": noise, "norm": norm}
        self.settings = validate(NFGSMSettings, given, "NFGSM")
        super().__init__("fgsm", seed, self.settings.epsilon, norm)

    def passes(self) -> int:
        """Return 2: one pass for the step, one for the training."""
        return 2

    def perturb(self, model: Model, batch: Batch, t: float, micro_batches: int = 1) -> Tensor:
        """Return the views with noise and one step up the cross entropy, clipped to [0, 1]."""
        epsilon = self.settings.epsilon(t)
        noise = self.noise(batch, self.settings.noise * epsilon)
        step_size = (self.settings.step_size or self.settings.epsilon)(t)
        delta = noise + steepest_step(
            model, batch, noise, self.settings.ball, step_size, micro_batches
        )
        return (batch.views + delta).clamp(0, 1)


def steepest_step(
    model: Model, batch: Batch, noise: Tensor, ball: LpBall, step_size: float, micro_batches: int
) -> Tensor:
    """Return the step of norm ``step_size`` up the cross entropy, from its gradient at the noise.

    ``noise`` and the result have the shape of the views. The model takes them in ``micro_batches``
    micro-batches.
    """
    start = (batch.views + noise).clamp(0, 1)
    with frozen_statistics(model):
        gradient = batch.in_micro_batches(
            micro_batches, partial(input_gradient, classify_with(model)), start
        )
    return ball.steepest_step(gradient, step_size)
