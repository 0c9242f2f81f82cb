"""The official AutoAttack (Croce and Hein 2020), on the images that stood everything else."""

import logging
from dataclasses import replace
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gratis.attacks import Classify
from gratis.errors import GratisError
from gratis.evaluation.evaluated_model import EvaluatedModel, ImageBatch, Verdict
from gratis.evaluation.tasks import EvalTask
from gratis.seeds import derive

logger = logging.getLogger(__name__)

Part = Literal["apgd-ce", "apgd-t", "fab-t", "square"]
# In the official order; what each costs an image that stands it, in forward passes.
COSTS: dict[Part, int] = {"apgd-ce": 200, "apgd-t": 1800, "fab-t": 1800, "square": 5000}
# The targeted DLR loss compares four logits.
FEWEST_CLASSES: dict[Part, int] = {"apgd-t": 4}
MOST_TARGETS = 9


class AutoAttack(EvalTask):
    """One part of standard AutoAttack within ``epsilon`` in L-infinity.

    All four as a cascade are AutoAttack, whose figure is the last one's. Its own random numbers
    follow from the seed and the batch, not from each image: another ``batch_size`` is another draw.
    """

    part: Part
    epsilon: float

    @property
    def cost(self) -> float:
        """What an image costs that stands."""
        return COSTS[self.part]

    def require(self) -> None:
        """See that pyautoattack is there."""
        _library()

    def fits(self, evaluated: EvaluatedModel) -> bool:
        """See that the classes are enough; say so where they are not."""
        classes = evaluated.classes()
        enough = classes >= FEWEST_CLASSES.get(self.part, 2)
        if not enough:
            logger.info(f"{self.name} is left out: it needs {FEWEST_CLASSES[self.part]} classes")
        return enough

    def judge(self, evaluated: EvaluatedModel, index: NDArray[np.int64]) -> Verdict:
        """Run the part; again, on the model itself, where a claim does not hold for it."""
        batch = evaluated.batch(index)
        adversarial = self._attacked(evaluated, batch)
        if evaluated.attack_model is not None:
            claimed = (adversarial != batch.images).flatten(1).any(1)
            doubtful = claimed & evaluated.right(adversarial, batch.labels)
            rows = doubtful.nonzero().squeeze(1)
            if len(rows):
                own = replace(evaluated, attack_model=None)
                adversarial[rows] = self._attacked(own, batch.take(rows))
        adversarial = evaluated.settle(batch, adversarial, "linf", self.epsilon)
        fooled = evaluated.fooled(batch, adversarial, "linf", self.epsilon)
        return evaluated.verdict(fooled, adversarial, "linf")

    def _attacked(self, evaluated: EvaluatedModel, batch: ImageBatch) -> Tensor:
        first = int(batch.indices[0])
        official: Any = _library().AutoAttack(
            PlainGradients(evaluated.classify),
            norm="Linf",
            eps=self.epsilon,
            seed=derive(evaluated.seed, "autoattack", first) % 2**31,
            device=evaluated.device,
        )
        official.attacks_to_run = [self.part]
        targets = min(MOST_TARGETS, evaluated.classes() - 1)
        official.apgd_targeted.n_target_classes = official.fab.n_target_classes = targets
        with torch.random.fork_rng(devices=_devices(evaluated.device)):
            adversarial: Tensor = official.run_standard_evaluation(
                batch.images.contiguous(), batch.labels, batch_size=len(batch.labels)
            )[0].detach()
        return adversarial


class PlainGradients(nn.Module):
    """A model in channels last as a library likes it that cannot reshape channels last."""

    def __init__(self, classify: Classify) -> None:
        """Wrap ``classify``, from images (n, 3, H, W) to logits."""
        super().__init__()
        self._classify = classify

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images; the images' gradient will be contiguous."""
        # The library takes logits of another precision than the images' amiss.
        return self._classify(_ChannelsLast.apply(images)).to(images.dtype)


class _ChannelsLast(torch.autograd.Function):
    """The memory format that is fast for the model; gradients come back in the plain one."""

    @staticmethod
    def forward(context: Any, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous()


def _devices(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []


def _library() -> ModuleType:
    try:
        import pyautoattack
    except ImportError as error:
        raise GratisError(
            "AutoAttack needs pyautoattack; install it: pip install 'gratis[full]'"
        ) from error
    library: ModuleType = pyautoattack
    return library
