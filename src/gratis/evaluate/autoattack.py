"""The official AutoAttack (Croce and Hein 2020), on the images that stood everything else."""

from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gratis.errors import GratisError
from gratis.evaluate.subject import Subject, Verdict
from gratis.evaluate.trials import Trial
from gratis.progress import say
from gratis.seeds import derive

# Its parts in their order, with what each costs a robust image, in forward passes.
PARTS = {"apgd-ce": 200, "apgd-t": 1800, "fab-t": 1800, "square": 5000}
# The targeted DLR loss compares four logits.
FEWEST = {"apgd-t": 4}
MOST_TARGETS = 9


class AutoAttack(Trial):
    """Standard AutoAttack within ``epsilon`` in L-infinity.

    Its own random numbers follow from the seed and the batch, not from each image: another
    ``batch_size`` is another draw.
    """

    epsilon: float

    @property
    def cost(self) -> float:
        """What an image costs that stands to the end."""
        return sum(PARTS.values())

    def prepare(self, subject: Subject) -> None:
        """See that the library is there; say what a small number of classes leaves out."""
        _library()
        classes = subject.classes()
        missing = [part for part in PARTS if part not in _parts(classes)]
        if missing:
            say(f"autoattack: {classes} classes are too few for {', '.join(missing)}; left out")

    def judge(self, subject: Subject, index: NDArray[np.int64]) -> Verdict:
        """Run AutoAttack."""
        portion = subject.portion(index)
        classes = subject.classes()
        official: Any = _library().AutoAttack(
            _Plain(subject),
            norm="Linf",
            eps=self.epsilon,
            seed=derive(subject.seed, "autoattack", int(index[0])) % 2**31,
            device=subject.device,
        )
        official.attacks_to_run = _parts(classes)
        targets = min(MOST_TARGETS, classes - 1)
        official.apgd_targeted.n_target_classes = official.fab.n_target_classes = targets
        with torch.random.fork_rng(devices=_devices(subject.device)):
            adversarial: Tensor = official.run_standard_evaluation(
                portion.images, portion.labels, batch_size=len(index)
            )[0].detach()
        adversarial = subject.settle(portion, adversarial, "linf", self.epsilon)
        fooled = subject.fooled(portion, adversarial, "linf", self.epsilon)
        return subject.verdict(fooled, adversarial, "linf")


class _Plain(nn.Module):
    """A subject's model, with logits alone."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._model, self._classify = subject.model, subject.classify

    def forward(self, images: Tensor) -> Tensor:
        return self._classify(images)


def _parts(classes: int) -> list[str]:
    return [part for part in PARTS if classes >= FEWEST.get(part, 2)]


def _devices(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []


def _library() -> ModuleType:
    try:
        import pyautoattack
    except ImportError as error:
        raise GratisError(
            "the full suite needs pyautoattack; install it: pip install 'gratis[full]'"
        ) from error
    library: ModuleType = pyautoattack
    return library
