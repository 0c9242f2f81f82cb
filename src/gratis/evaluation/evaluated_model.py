"""The model under examination, with the images that it is asked about."""

from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gratis.attacks import BALLS, Norm, full_precision
from gratis.data.batches import to_float
from gratis.data.dataset import Split
from gratis.model import logits_of
from gratis.validation_sets.transfer import quantise

# How adversarial examples are kept: as they are, or as whole pixel values.
Kept = Literal["float32", "uint8"]


def device_of(model: nn.Module) -> torch.device:
    """Return where a model's parameters are; the CPU if it has none."""
    first = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if first is None else first.device


class Pictures(NamedTuple):
    """Fixed images, uint8 (n, height, width, 3), and a hash of them."""

    images: NDArray[np.uint8]
    digest: str


class ImageBatch(NamedTuple):
    """Some images (n, 3, H, W) in [0, 1], their labels (n,), and their places in the split (n,)."""

    images: Tensor
    labels: Tensor
    indices: Tensor

    def take(self, rows: Tensor) -> "ImageBatch":
        """Return the images at ``rows``."""
        return ImageBatch(
            self.images[rows], self.labels[rows], self.indices[rows.to(self.indices.device)]
        )


class Verdict(NamedTuple):
    """What n images have shown.

    ``correct`` (n,) says which the model still gets right. ``examples`` holds what fooled it, one
    for each of the others, where such are kept: float32 (k, 3, H, W), or uint8 (k, H, W, 3).
    """

    correct: NDArray[np.bool_]
    examples: NDArray[np.float32] | NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class EvaluatedModel:
    """A model in evaluation mode and the split that it is measured on.

    ``fixed_sets`` are sets of fixed images by metric, the clean ones among them. ``kept`` says how
    adversarial examples are kept, if at all; with ``uint8`` verdicts are those on the whole
    pixel values. Attacks climb ``attack_model``, the same function for less arithmetic, if it is
    there; every verdict on what they made is the model's own.
    """

    model: nn.Module
    split: Split
    fixed_sets: dict[str, Pictures]
    seed: int
    kept: Kept | None = None
    attack_model: nn.Module | None = None

    @property
    def device(self) -> torch.device:
        """Where the model's parameters are; the CPU if it has none."""
        return device_of(self.model)

    def classify(self, images: Tensor) -> Tensor:
        """Return the logits of images, differentiable, for attacks."""
        return logits_of((self.attack_model or self.model)(images))

    def classes(self) -> int:
        """Return how many classes the model tells apart."""
        with torch.no_grad():
            return self.classify(self.batch(np.zeros(1, dtype=np.int64)).images).shape[1]

    def batch(self, index: NDArray[np.int64]) -> ImageBatch:
        """Return the images at ``index`` in the split."""
        return ImageBatch(
            to_float(self.split.images[index], self.device),
            torch.from_numpy(self.split.labels[index]).to(self.device),
            torch.from_numpy(index),
        )

    def right(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return which images are classified correctly, (n,), in plain float32."""
        if len(labels) == 0:  # Some layers cannot do with a batch of none.
            return labels.bool()
        with torch.no_grad(), full_precision(self.device):
            return logits_of(self.model(images)).argmax(1) == labels

    def settle(self, batch: ImageBatch, adversarial: Tensor, norm: Norm, epsilon: float) -> Tensor:
        """Return adversarial images as they will be kept."""
        if self.kept != "uint8" or norm != "linf" or len(batch.labels) == 0:
            return adversarial
        before = self.split.images[batch.indices.numpy()]
        return to_float(quantise(before, adversarial, epsilon), self.device)

    def fooled(self, batch: ImageBatch, adversarial: Tensor, norm: Norm, epsilon: float) -> Tensor:
        """Return which adversarial images are allowed, and misclassified in plain float32, (n,).

        Allowed is what is within the budget and within [0, 1], whatever the attack says.
        """
        inside = BALLS[norm].contains(adversarial - batch.images, epsilon)
        in_range = ((adversarial >= 0) & (adversarial <= 1)).flatten(1).all(1)
        return inside & in_range & ~self.right(adversarial, batch.labels)

    def verdict(self, fooled: Tensor, adversarial: Tensor, norm: Norm) -> Verdict:
        """Return the verdict on adversarial images; only those in L-infinity are kept."""
        correct = (~fooled).cpu().numpy()
        if self.kept is None or norm != "linf":
            return Verdict(correct)
        examples = adversarial[fooled].cpu().contiguous()
        if self.kept == "float32":
            return Verdict(correct, examples.numpy())
        whole = (examples * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        return Verdict(correct, whole.contiguous().numpy())
