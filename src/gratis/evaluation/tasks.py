"""The tasks of a suite: each finds which images the model classifies correctly after it.

Another kind of task is another file with a subclass of :class:`EvalTask`, listed in ``suites.py``.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gratis.attacks import AttackSettings, Norm, attack, run_attack
from gratis.data.batches import to_float
from gratis.errors import GratisError
from gratis.evaluation.evaluated_model import EvaluatedModel, ImageBatch, Outcome
from gratis.settings import Settings
from gratis.torch_state import full_precision

# The metric that is the worst case over several tasks; "" for tasks that are no attack.
Threat = Literal["", "robust", "robust_l2", "geometric_worst", "curve"]


class EvalTask(Settings):
    """One task of a suite.

    Attributes:
        name: the metric that the task measures.
        threat: the tasks of a threat are ordered from cheap to strong, and skip images that are
            misclassified without an attack. A task without a threat runs on every image.
        standalone: run also on the images that earlier tasks of the threat have fooled, so that
            the accuracy is that of this task alone. Otherwise they are skipped, and the accuracy
            is that under all tasks so far.
    """

    # The optional package that the task needs.
    package: ClassVar[str | None] = None

    name: str
    threat: Threat = ""
    standalone: bool = True

    @property
    @abstractmethod
    def cost(self) -> float:
        """The cost of one image in forward passes; a backward pass costs as much."""

    @abstractmethod
    def run(self, evaluated: EvaluatedModel, index: NDArray[np.int64]) -> Outcome:
        """Return the outcome on the images at ``index``, as one batch."""

    def require_library(self) -> None:
        """Check that the library of the task is installed."""
        if self.package is not None:
            optional_library(self.package)

    def applies_to(self, evaluated: EvaluatedModel) -> bool:
        """Return whether the task can run on this model; checked before anything is measured."""
        return True

    def key(self, evaluated: EvaluatedModel) -> str:
        """Return everything that determines the outcomes besides model, split and seed."""
        return f"{type(self).__name__} {self.model_dump_json()}"


class FixedSet(EvalTask):
    """Classification of fixed images; ``name`` is that of their set."""

    def applies_to(self, evaluated: EvaluatedModel) -> bool:
        """Return whether there is such a set."""
        return self.name in evaluated.fixed_sets

    @property
    def cost(self) -> float:
        """One pass."""
        return 1

    def run(self, evaluated: EvaluatedModel, index: NDArray[np.int64]) -> Outcome:
        """Classify the images of the set."""
        images = to_float(evaluated.fixed_sets[self.name].images[index], evaluated.device)
        labels = evaluated.batch_at(index).labels
        return Outcome(evaluated.is_correct(images, labels).cpu().numpy())

    def key(self, evaluated: EvaluatedModel) -> str:
        """Return also the digest of the images."""
        return f"{super().key(evaluated)} {evaluated.fixed_sets[self.name].digest}"


class GradientAttack(EvalTask):
    """A gradient attack."""

    attack: AttackSettings

    @property
    def cost(self) -> float:
        """A forward and a backward pass a step, and one pass for the outcome."""
        return 1 + 2 * self.attack.steps * self.attack.restarts

    def run(self, evaluated: EvaluatedModel, index: NDArray[np.int64]) -> Outcome:
        """Attack, then check every image that the attack reports as fooled."""
        batch = evaluated.batch_at(index)
        if self.attack.until_fooled:
            adversarial, fooled = self._until_fooled(evaluated, batch)
        else:
            adversarial = self._attacked(evaluated, batch, self.attack)
            fooled = self._is_fooled(evaluated, batch, adversarial)
        return evaluated.outcome(fooled, adversarial, self.attack.norm)

    def _until_fooled(self, evaluated: EvaluatedModel, batch: ImageBatch) -> tuple[Tensor, Tensor]:
        """Return the adversarial images, and whether each fools the model."""
        found = run_attack(
            evaluated.classify, *batch[:2], self.attack, evaluated.seed, batch.indices
        )
        adversarial, fooled = found.images, found.fooled
        claimed = fooled.nonzero().squeeze(1)
        claims = batch.take(claimed)
        adversarial[claimed] = self._as_stored(evaluated, claims, adversarial[claimed])
        fooled[claimed] = self._is_fooled(evaluated, claims, adversarial[claimed])
        rejected = claimed[~fooled[claimed]]
        if len(rejected):
            # The attack stopped at a point that does not fool the model in full precision. Run it
            # again to the last step, on the model itself.
            again = batch.take(rejected)
            to_the_end = self.attack.model_copy(update={"until_fooled": False})
            with full_precision(evaluated.device):
                itself = replace(evaluated, attack_copy=None)
                adversarial[rejected] = self._attacked(itself, again, to_the_end)
            fooled[rejected] = self._is_fooled(evaluated, again, adversarial[rejected])
        return adversarial, fooled

    def _attacked(
        self, evaluated: EvaluatedModel, batch: ImageBatch, settings: AttackSettings
    ) -> Tensor:
        found = attack(evaluated.classify, *batch[:2], settings, evaluated.seed, batch.indices)
        return self._as_stored(evaluated, batch, found)

    def _as_stored(
        self, evaluated: EvaluatedModel, batch: ImageBatch, adversarial: Tensor
    ) -> Tensor:
        return evaluated.as_stored(batch, adversarial, self.attack.norm, self.attack.epsilon)

    def _is_fooled(
        self, evaluated: EvaluatedModel, batch: ImageBatch, adversarial: Tensor
    ) -> Tensor:
        return evaluated.is_fooled(batch, adversarial, self.attack.norm, self.attack.epsilon)


def optional_library(name: str) -> Any:
    """Return a module of the extra ``full``, imported when it is needed."""
    try:
        return import_module(name)
    except ImportError as error:
        remedy = "install it: pip install 'gratis[full]'"
        raise GratisError(f"this suite needs {name}; {remedy}") from error


def _in_words(norm: Norm, epsilon: float) -> str:
    return f"{255 * epsilon:.6g}/255" if norm == "linf" else f"L2 {epsilon:.6g}"


def epsilon_curve(name: str, settings: AttackSettings, epsilons: Sequence[float]) -> list[EvalTask]:
    """Return a task for each epsilon, the smallest first: accuracy against epsilon.

    A fooled image is not attacked again: what fools the model within a small epsilon also fools it
    within the larger ones. Epsilons of zero are left out.
    """
    return [
        GradientAttack(
            name=f"{name} {_in_words(settings.norm, epsilon)}",
            threat="curve",
            standalone=False,
            attack=settings.model_copy(update={"epsilon": epsilon, "until_fooled": True}),
        )
        for epsilon in sorted(set(epsilons))
        if epsilon > 0
    ]
