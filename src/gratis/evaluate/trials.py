"""What a suite consists of: trials, which some of a model's images stand and others do not."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gratis.data.batches import to_float
from gratis.evaluate.subject import Portion, Subject, Verdict
from gratis.perturb import AttackSettings, attack, full_precision, search
from gratis.settings import Settings

# The metric that is the worst case over several trials; "" for what is no attack.
Threat = Literal["", "robust", "robust_l2", "geometric_worst", "curve"]


class Trial(Settings):
    """One trial.

    Attributes:
        name: the metric that it gives.
        threat: its trials are ordered from cheap to strong. Every image faces a trial without a
            threat; the others spare images that are misclassified without an attack.
        apart: face also the images that earlier trials of the threat have fooled, so that
            the figure stands on its own. Otherwise they are spared, and the figure is that
            of all trials so far.
    """

    name: str
    threat: Threat = ""
    apart: bool = True

    @property
    @abstractmethod
    def cost(self) -> float:
        """What one image costs, in forward passes; a backward pass costs as much."""

    @abstractmethod
    def judge(self, subject: Subject, index: NDArray[np.int64]) -> Verdict:
        """Put the images at ``index`` on trial, all at once."""

    def require(self) -> None:
        """See that what the trial needs is installed.

        Raises:
            GratisError: something is not.
        """

    def fits(self, subject: Subject) -> bool:
        """Return, before anything is measured, whether the trial makes sense for this model."""
        return True

    def key(self, subject: Subject) -> str:
        """Return all that decides the verdicts, apart from the model, the images and the seed."""
        return f"{type(self).__name__} {self.model_dump_json()}"


class Still(Trial):
    """Fixed images, under the name of their set."""

    def fits(self, subject: Subject) -> bool:
        """Return whether there are such images."""
        return self.name in subject.stills

    @property
    def cost(self) -> float:
        """One pass."""
        return 1

    def judge(self, subject: Subject, index: NDArray[np.int64]) -> Verdict:
        """Classify."""
        images = to_float(subject.stills[self.name].images[index], subject.device)
        labels = subject.portion(index).labels
        return Verdict(subject.right(images, labels).cpu().numpy())

    def key(self, subject: Subject) -> str:
        """Return the hash of the images too."""
        return f"{super().key(subject)} {subject.stills[self.name].digest}"


class Ascent(Trial):
    """A gradient attack."""

    attack: AttackSettings

    @property
    def cost(self) -> float:
        """A forward and a backward pass a step, and one more to see what came of it."""
        return 1 + 2 * self.attack.steps * self.attack.restarts

    def judge(self, subject: Subject, index: NDArray[np.int64]) -> Verdict:
        """Attack, then look again at whatever fooled the model."""
        how, portion = self.attack, subject.portion(index)
        if not how.until_fooled:
            adversarial = self._attacked(subject, portion, how)
            fooled = self._fooled(subject, portion, adversarial)
            return subject.verdict(fooled, adversarial, how.norm)
        found = search(subject.classify, *portion[:2], how, subject.seed, portion.indices)
        adversarial, fooled = found.images, found.fooled
        claimed = fooled.nonzero().squeeze(1)
        adversarial[claimed] = self._settled(subject, portion.take(claimed), adversarial[claimed])
        fooled[claimed] = self._fooled(subject, portion.take(claimed), adversarial[claimed])
        doubtful = claimed[~fooled[claimed]]
        if len(doubtful):
            # The attack left off at a point that does not hold: go on to the end, precisely.
            again = portion.take(doubtful)
            to_the_end = how.model_copy(update={"until_fooled": False})
            with full_precision(subject.device):
                own = replace(subject, climbed=None)
                adversarial[doubtful] = self._attacked(own, again, to_the_end)
            fooled[doubtful] = self._fooled(subject, again, adversarial[doubtful])
        return subject.verdict(fooled, adversarial, how.norm)

    def _attacked(self, subject: Subject, portion: Portion, how: AttackSettings) -> Tensor:
        found = attack(subject.classify, *portion[:2], how, subject.seed, portion.indices)
        return self._settled(subject, portion, found)

    def _settled(self, subject: Subject, portion: Portion, adversarial: Tensor) -> Tensor:
        return subject.settle(portion, adversarial, self.attack.norm, self.attack.epsilon)

    def _fooled(self, subject: Subject, portion: Portion, adversarial: Tensor) -> Tensor:
        return subject.fooled(portion, adversarial, self.attack.norm, self.attack.epsilon)


def ladder(name: str, how: AttackSettings, epsilons: Sequence[float]) -> list[Trial]:
    """Return an attack at each epsilon in turn, the smallest first, as a curve.

    An image that has fallen is not attacked again: what fools within a small budget is within the
    larger ones too. Epsilons of zero are left out.
    """
    return [
        Ascent(
            name=f"{name} {255 * epsilon:.6g}/255",
            threat="curve",
            apart=False,
            attack=how.model_copy(update={"epsilon": epsilon, "until_fooled": True}),
        )
        for epsilon in sorted(set(epsilons))
        if epsilon > 0
    ]
