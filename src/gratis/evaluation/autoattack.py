"""The official AutoAttack (Croce and Hein 2020), on the images that survive the other attacks."""

import logging
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from gratis.attacks import Classify
from gratis.evaluation.evaluated_model import EvaluatedModel, ImageBatch
from gratis.evaluation.tasks import optional_library
from gratis.evaluation.verified_attack import VerifiedAttack
from gratis.seeds import derive
from gratis.torch_state import fresh_torch_state

logger = logging.getLogger(__name__)

Part = Literal["apgd-ce", "apgd-t", "fab-t", "square"]
# In the official order, with the cost of an image that survives, in forward passes.
COSTS: dict[Part, int] = {"apgd-ce": 200, "apgd-t": 1800, "fab-t": 1800, "square": 5000}
# The targeted DLR loss compares four logits.
FEWEST_CLASSES: dict[Part, int] = {"apgd-t": 4}
MOST_TARGETS = 9


class AutoAttack(VerifiedAttack):
    """One part of standard AutoAttack within ``epsilon`` in L-infinity.

    The cascade of all four is AutoAttack, and its accuracy is that of the last. The random numbers
    of the library depend on the seed and the batch, not on each image: another ``batch_size`` is
    another draw.
    """

    package: ClassVar[str | None] = "pyautoattack"

    part: Part

    @property
    def cost(self) -> float:
        """The cost of an image that survives."""
        return COSTS[self.part]

    def applies_to(self, evaluated: EvaluatedModel) -> bool:
        """Return whether the model has enough classes; log it where it has not."""
        classes = evaluated.class_count()
        enough = classes >= FEWEST_CLASSES.get(self.part, 2)
        if not enough:
            logger.info(f"{self.name} is left out: it needs {FEWEST_CLASSES[self.part]} classes")
        return enough

    def attacked(self, evaluated: EvaluatedModel, batch: ImageBatch) -> Tensor:
        """Return the images of the library; those that survive are unchanged."""
        first = int(batch.indices[0])
        official: Any = optional_library("pyautoattack").AutoAttack(
            PlainGradients(evaluated.classify),
            norm="Linf",
            eps=self.epsilon,
            seed=derive(evaluated.seed, "autoattack", first) % 2**31,
            device=evaluated.device,
        )
        official.attacks_to_run = [self.part]
        targets = min(MOST_TARGETS, evaluated.class_count() - 1)
        official.apgd_targeted.n_target_classes = official.fab.n_target_classes = targets
        # The library seeds torch's global generators.
        with fresh_torch_state(evaluated.device):
            adversarial: Tensor = official.run_standard_evaluation(
                batch.images.contiguous(), batch.labels, batch_size=len(batch.labels)
            )[0].detach()
        return adversarial


class PlainGradients(nn.Module):
    """A model in channels last for a library that cannot reshape channels-last tensors."""

    def __init__(self, classify: Classify) -> None:
        """Wrap ``classify``, from images (n, 3, H, W) to logits."""
        super().__init__()
        self._classify = classify

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images; the gradient of the images is contiguous."""
        # The library requires logits of the dtype of the images.
        logits = self._classify(_ChannelsLast.apply(images)).to(images.dtype)
        finite = logits.isfinite().all(1, keepdim=True)
        return logits if finite.all() else _with_no_answer(logits, finite)


def _with_no_answer(logits: Tensor, finite: Tensor) -> Tensor:
    """Return logits with a further class, which the images that are not ``finite`` (n, 1) get.

    The library would count logits that are not finite as the first class.
    """
    answers = torch.where(finite, logits, torch.zeros_like(logits))
    no_answer = torch.zeros_like(logits[:, :1]).masked_fill(finite, -torch.inf)
    return torch.cat([answers, no_answer.masked_fill(~finite, 1)], 1)


class _ChannelsLast(torch.autograd.Function):
    """Images in channels last, which is fast for the model; their gradient is contiguous."""

    @staticmethod
    def forward(context: Any, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        # Where the gradient is not finite, the library follows the other pixels.
        return gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).contiguous()
