"""Attacks of other kinds than gradient steps, whose examples are verified on the model itself."""

from abc import abstractmethod
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

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
