"""What a suite consists of: tasks, which some of a model's images stand and others do not."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gratis.attacks import AttackSettings, attack, full_precision, run_attack
from gratis.data.batches import to_float
from gratis.evaluation.evaluated_model import EvaluatedModel, ImageBatch, Verdict
from gratis.settings import Settings

# The metric that is the worst case over several tasks; "" for what is no attack.
Threat = Literal["", "robust", "robust_l2", "geometric_worst", "curve"]


class EvalTask(Settings):
    """One task.

    Attributes:
        name: the metric that it gives.
        threat: its tasks are ordered from cheap to strong. Every image faces a task without a
            threat; the others spare images that are misclassified without an attack.
        standalone: face also the images that earlier tasks of the threat have fooled, so that
            the figure stands on its own. Otherwise they are spared, and the figure is that
            of all tasks so far.
    """

    name: str
    threat: Threat = ""
    standalone: bool = True

    @property
    @abstractmethod
    def cost(self) -> float:
        """What one image costs, in forward passes; a backward pass costs as much."""

    @abstractmethod
    def judge(self, evaluated: EvaluatedModel, index: NDArray[np.int64]) -> Verdict:
        """Put the images at ``index`` on task, all at once."""

    def require(self) -> None:
        """See that what the task needs is installed.

        Raises:
            GratisError: something is not.
        """

    def fits(self, evaluated: EvaluatedModel) -> bool:
        """Return, before anything is measured, whether the task makes sense for this model."""
        return True

    def key(self, evaluated: EvaluatedModel) -> str:
        """Return all that decides the verdicts, apart from the model, the images and the seed."""
        return f"{type(self).__name__} {self.model_dump_json()}"


class FixedSet(EvalTask):
    """Fixed images, under the name of their set."""

    def fits(self, evaluated: EvaluatedModel) -> bool:
        """Return whether there are such images."""
        return self.name in evaluated.fixed_sets

    @property
    def cost(self) -> float:
        """One pass."""
        return 1

    def judge(self, evaluated: EvaluatedModel, index: NDArray[np.int64]) -> Verdict:
        """Classify."""
        images = to_float(evaluated.fixed_sets[self.name].images[index], evaluated.device)
        labels = evaluated.batch(index).labels
        return Verdict(evaluated.right(images, labels).cpu().numpy())

    def key(self, evaluated: EvaluatedModel) -> str:
        """Return the hash of the images too."""
        return f"{super().key(evaluated)} {evaluated.fixed_sets[self.name].digest}"


class GradientAttack(EvalTask):
    """A gradient attack."""

    attack: AttackSettings

    @property
    def cost(self) -> float:
        """A forward and a backward pass a step, and one more to see what came of it."""
        return 1 + 2 * self.attack.steps * self.attack.restarts

    def judge(self, evaluated: EvaluatedModel, index: NDArray[np.int64]) -> Verdict:
        """Attack, then look again at whatever fooled the model."""
        how, batch = self.attack, evaluated.batch(index)
        if not how.until_fooled:
            adversarial = self._attacked(evaluated, batch, how)
            fooled = self._fooled(evaluated, batch, adversarial)
            return evaluated.verdict(fooled, adversarial, how.norm)
        found = run_attack(evaluated.classify, *batch[:2], how, evaluated.seed, batch.indices)
        adversarial, fooled = found.images, found.fooled
        claimed = fooled.nonzero().squeeze(1)
        adversarial[claimed] = self._settled(evaluated, batch.take(claimed), adversarial[claimed])
        fooled[claimed] = self._fooled(evaluated, batch.take(claimed), adversarial[claimed])
        doubtful = claimed[~fooled[claimed]]
        if len(doubtful):
            # The attack left off at a point that does not hold: go on to the end, precisely.
            again = batch.take(doubtful)
            to_the_end = how.model_copy(update={"until_fooled": False})
            with full_precision(evaluated.device):
                own = replace(evaluated, attack_model=None)
                adversarial[doubtful] = self._attacked(own, again, to_the_end)
            fooled[doubtful] = self._fooled(evaluated, again, adversarial[doubtful])
        return evaluated.verdict(fooled, adversarial, how.norm)

    def _attacked(
        self, evaluated: EvaluatedModel, batch: ImageBatch, how: AttackSettings
    ) -> Tensor:
        found = attack(evaluated.classify, *batch[:2], how, evaluated.seed, batch.indices)
        return self._settled(evaluated, batch, found)

    def _settled(self, evaluated: EvaluatedModel, batch: ImageBatch, adversarial: Tensor) -> Tensor:
        return evaluated.settle(batch, adversarial, self.attack.norm, self.attack.epsilon)

    def _fooled(self, evaluated: EvaluatedModel, batch: ImageBatch, adversarial: Tensor) -> Tensor:
        return evaluated.fooled(batch, adversarial, self.attack.norm, self.attack.epsilon)


def ladder(name: str, how: AttackSettings, epsilons: Sequence[float]) -> list[EvalTask]:
    """Return an attack at each epsilon in turn, the smallest first, as a curve.

    An image that has fallen is not attacked again: what fools within a small budget is within the
    larger ones too. Epsilons of zero are left out.
    """
    return [
        GradientAttack(
            name=f"{name} {255 * epsilon:.6g}/255",
            threat="curve",
            standalone=False,
            attack=how.model_copy(update={"epsilon": epsilon, "until_fooled": True}),
        )
        for epsilon in sorted(set(epsilons))
        if epsilon > 0
    ]
