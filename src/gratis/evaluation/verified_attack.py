"""Attacks of other kinds than gradient steps, whose examples are verified on the model itself."""

from abc import abstractmethod
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gratis.attacks import SquareSettings, square_attack
from gratis.evaluation.evaluated_model import EvaluatedModel, ImageBatch, Outcome
from gratis.evaluation.tasks import EvalTask


class VerifiedAttack(EvalTask):
    """An attack in L-infinity that runs on the cheaper copy of the model.

    Attributes:
        epsilon: the largest change of a pixel value, in [0, 1].
    """

    epsilon: float

    @abstractmethod
    def attacked(self, evaluated: EvaluatedModel, batch: ImageBatch) -> Tensor:
        """Return the adversarial images; images that survive are returned unchanged."""

    def run(self, evaluated: EvaluatedModel, index: NDArray[np.int64]) -> Outcome:
        """Run the attack, and again on the model itself where only the copy is fooled."""
        batch = evaluated.batch_at(index)
        adversarial = self.attacked(evaluated, batch)
        if evaluated.attack_copy is not None:
            claimed = (adversarial != batch.images).flatten(1).any(1)
            rejected = claimed & evaluated.is_correct(adversarial, batch.labels)
            rows = rejected.nonzero().squeeze(1)
            if len(rows):
                itself = replace(evaluated, attack_copy=None)
                adversarial[rows] = self.attacked(itself, batch.take(rows))
        adversarial = evaluated.as_stored(batch, adversarial, "linf", self.epsilon)
        fooled = evaluated.is_fooled(batch, adversarial, "linf", self.epsilon)
        return evaluated.outcome(fooled, adversarial, "linf")


class SquareAttack(VerifiedAttack):
    """Square Attack (Andriushchenko et al. 2020) with few queries; it needs no gradient.

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
