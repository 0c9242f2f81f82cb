"""The model that is evaluated, together with the images that it is evaluated on."""

from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gratis.attacks import BALLS, Norm, is_correct
from gratis.data.batches import to_float
from gratis.data.dataset import Split
from gratis.data.sharded_images import Images
from gratis.model import logits_of
from gratis.torch_state import full_precision
from gratis.validation_sets.transfer import quantise

ExampleFormat = Literal["float32", "uint8"]


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's parameters; the CPU if it has none."""
    first = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if first is None else first.device


class FixedImages(NamedTuple):
    """Images that no model changes, uint8 (n, height, width, 3), and their digest."""

    images: Images
    digest: str


class ImageBatch(NamedTuple):
    """A batch: images (n, 3, H, W) in [0, 1], labels (n,), and indices in the split (n,)."""

    images: Tensor
    labels: Tensor
    indices: Tensor

    def take(self, rows: Tensor) -> "ImageBatch":
        """Return the batch of the images at ``rows``."""
        return ImageBatch(
            self.images[rows], self.labels[rows], self.indices[rows.to(self.indices.device)]
        )


class Outcome(NamedTuple):
    """What a task found about n images.

    Attributes:
        correct: (n,) whether the model classifies each image correctly under the task.
        examples: the adversarial example of each image that is not correct, where examples are
            stored: float32 (k, 3, H, W), or uint8 (k, H, W, 3).
    """

    correct: NDArray[np.bool_]
    examples: NDArray[np.float32] | NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class EvaluatedModel:
    """A model in evaluation mode and the split that it is measured on.

    Attributes:
        model: maps images (n, 3, H, W) in [0, 1] to logits, or to an object with ``logits``.
        split: the validation split.
        fixed_sets: sets of fixed images by metric, the clean ones among them.
        seed: the seed of everything random.
        example_format: how adversarial examples are stored; ``None`` stores none. With ``uint8``
            the outcomes are those on whole pixel values.
        attack_copy: a copy that computes the same with less arithmetic. Gradient attacks run on
            it; the outcomes on their examples are those of ``model``.
    """

    model: nn.Module
    split: Split
    fixed_sets: dict[str, FixedImages]
    seed: int
    example_format: ExampleFormat | None = None
    attack_copy: nn.Module | None = None

    @property
    def device(self) -> torch.device:
        """The device of the model's parameters; the CPU if it has none."""
        return device_of(self.model)

    def classify(self, images: Tensor) -> Tensor:
        """Return the logits of images, differentiable in the images, for attacks."""
        return logits_of((self.attack_copy or self.model)(images))

    def class_count(self) -> int:
        """Return the number of classes, which is the number of logits."""
        with torch.no_grad():
            return self.classify(self.batch_at(np.zeros(1, dtype=np.int64)).images).shape[1]

    def batch_at(self, index: NDArray[np.int64]) -> ImageBatch:
        """Return the images of the split at ``index``, on the model's device."""
        return ImageBatch(
            to_float(self.split.images[index], self.device),
            torch.from_numpy(self.split.labels[index]).to(self.device),
            torch.from_numpy(index),
        )

    def is_correct(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return whether each image is classified correctly, (n,), in plain float32.

        An image whose logits are not finite is not.
        """
        if len(labels) == 0:  # Some layers fail on an empty batch.
            return labels.bool()
        with torch.no_grad(), full_precision(self.device):
            return is_correct(logits_of(self.model(images)), labels)

    def as_stored(
        self, batch: ImageBatch, adversarial: Tensor, norm: Norm, epsilon: float
    ) -> Tensor:
        """Return adversarial images as they will be stored: rounded to whole pixels for uint8."""
        if self.example_format != "uint8" or norm != "linf" or len(batch.labels) == 0:
            return adversarial
        before = self.split.images[batch.indices.numpy()]
        return to_float(quantise(before, adversarial, epsilon), self.device)

    def is_fooled(
        self, batch: ImageBatch, adversarial: Tensor, norm: Norm, epsilon: float
    ) -> Tensor:
        """Return whether each adversarial image fools the model, (n,), in plain float32.

        An image outside epsilon or outside [0, 1] does not count, whatever the attack reports.
        """
        inside = BALLS[norm].contains(adversarial - batch.images, epsilon)
        in_range = ((adversarial >= 0) & (adversarial <= 1)).flatten(1).all(1)
        return inside & in_range & ~self.is_correct(adversarial, batch.labels)

    def outcome(self, fooled: Tensor, adversarial: Tensor, norm: Norm) -> Outcome:
        """Return the outcome on adversarial images, with the examples in L-infinity."""
        correct = (~fooled).cpu().numpy()
        if self.example_format is None or norm != "linf":
            return Outcome(correct)
        examples = adversarial[fooled].cpu().contiguous()
        if self.example_format == "float32":
            return Outcome(correct, examples.numpy())
        pixels = (examples * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        return Outcome(correct, pixels.contiguous().numpy())
