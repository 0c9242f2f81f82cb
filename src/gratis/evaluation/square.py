"""Square Attack as a task: it needs no gradient, so it does not depend on an honest one."""

from torch import Tensor

from gratis.attacks import SquareSettings, square_attack
from gratis.evaluation.evaluated_model import EvaluatedModel, ImageBatch
from gratis.evaluation.verified_attack import VerifiedAttack


class SquareAttack(VerifiedAttack):
    """Square Attack (Andriushchenko et al. 2020) with few queries.

    AutoAttack makes 5,000. A few hundred fool images whose gradient the model hides.

    Attributes:
        queries: the number of random squares.
    """

    queries: int = 200

    @property
    def cost(self) -> float:
        """One pass for the first point and one for each query of an image that survives."""
        return 1 + self.queries

    def attacked(self, evaluated: EvaluatedModel, batch: ImageBatch) -> Tensor:
        """Return the images that fool the model; the others are unchanged."""
        how = SquareSettings(epsilon=self.epsilon, queries=self.queries)
        found, fooled = square_attack(
            evaluated.classify, *batch[:2], how, evaluated.seed, batch.indices
        )
        return found.where(fooled[:, None, None, None], batch.images)
