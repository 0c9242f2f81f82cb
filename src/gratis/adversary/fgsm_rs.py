"""Fast-AT (Wong et al. 2020): FGSM from a random start, projected back to epsilon.

Two passes a replay: one for the perturbation, one for the weights.
"""

from typing import Annotated

from torch import Tensor

from gratis.adversary.base import Model, NormSettings
from gratis.adversary.n_fgsm import steepest_step
from gratis.adversary.random_start import RandomStartAdversary
from gratis.attacks import Norm
from gratis.data import Batch
from gratis.schedule import Constant, Scheduled, ScheduleLike, within
from gratis.settings import validate

# The step that the paper recommends, in multiples of epsilon.
_STEP = 1.25


class FGSMRSSettings(NormSettings):
    """FGSM with a random start; both numbers may be schedules.

    Attributes:
        epsilon: the norm of the perturbation, in [0, 1] units of pixel value. In a recipe, the
            default is ``evaluate.epsilon``, or ``evaluate.epsilon_l2`` in L2.
        step_size: the norm of the step, in the same units. Default: 1.25 * epsilon.
    """

    epsilon: Annotated[Scheduled, within(0)] = Constant(value=8 / 255)
    step_size: Annotated[Scheduled, within(0)] | None = None

    def build(self, seed: int) -> "FGSMRS":
        """Return the adversary."""
        return FGSMRS(**dict(self), seed=seed)


class FGSMRS(RandomStartAdversary):
    """Trains on images that are one step away from a random start, within epsilon."""

    def __init__(
        self,
        *,
        epsilon: ScheduleLike = 8 / 255,
        step_size: ScheduleLike | None = None,
        norm: Norm = "linf",
        seed: int = 0,
    ) -> None:
        """Take the fields of :class:`FGSMRSSettings`, and the seed of the random starts.

        Raises:
            GratisError: a value is out of range.
        """
        given = {"epsilon": epsilon, "step_size": step_size, "norm": norm}
        self.settings = validate(FGSMRSSettings, given, "FGSMRS")
        super().__init__("fgsm", seed, self.settings.epsilon, norm)

    def passes(self) -> int:
        """Return 2: one pass for the step, one for the training."""
        return 2

    def perturb(self, model: Model, batch: Batch, t: float, micro_batches: int = 1) -> Tensor:
        """Return the views with a projected perturbation, clipped to [0, 1]."""
        epsilon, step_size = self.settings.epsilon(t), self.settings.step_size
        step = _STEP * epsilon if step_size is None else step_size(t)
        start = self.noise(batch, epsilon)
        delta = start + steepest_step(model, batch, start, self.settings.ball, step, micro_batches)
        return (batch.views + self.settings.ball.project(delta, epsilon)).clamp(0, 1)
