"""What an export consists of, and the check that it computes what the model computes."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from gratis.errors import GratisError
from gratis.model import Architecture, Classifier, Head, InferenceModel

logger = logging.getLogger(__name__)

# Of logits, relative to the largest where that exceeds 1.
TOLERANCE = 1e-4
_BATCH = 50


@dataclass(frozen=True)
class Content:
    """What an export consists of.

    Attributes:
        model: the classifier, on the CPU and in evaluation mode, in the contiguous memory format.
        images: float (n, 3, size, size) in [0, 1], the images to check the export on.
        labels: int64 (n,), those of validation images; ``None`` for random ones.
        facts: what to store beside the weights, as text: class names, how images are prepared,
            measured accuracies.
    """

    model: InferenceModel
    images: Tensor
    labels: Tensor | None
    facts: dict[str, str]

    @property
    def classifier(self) -> Classifier:
        """The network with its settings."""
        return self.model.classifier

    @property
    def input_size(self) -> int:
        """Height and width in pixels of the network's input."""
        return self.classifier.input_size or self.model.image_size

    @property
    def head(self) -> Head | None:
        """The head; ``None`` for a network with a class layer of its own."""
        return self.classifier.head if isinstance(self.classifier.head, Head) else None

    @property
    def in_timm(self) -> tuple[str, dict[str, Any]]:
        """The name of the backbone in timm, and the arguments that it is created with."""
        settings = self.classifier.settings
        architecture = Architecture(settings.backbone)
        name, arguments = architecture.in_timm
        if settings.channels:
            arguments["channels"] = list(settings.channels)
        if architecture.fixed_size is not None:
            arguments["img_size"] = self.input_size
        return name, arguments

    @property
    def example(self) -> Tensor:
        """A batch of two black images: exporters may store it, so it is no real image."""
        return torch.zeros(2, *self.images.shape[1:])

    @cached_property
    def logits(self) -> Tensor:
        """The model's logits (n, classes) of ``images``."""
        return self.run(self.model)

    def run(self, classify: Callable[[Tensor], Any]) -> Tensor:
        """Return the logits of ``images``, batch by batch; the last batch is smaller."""
        with torch.no_grad():
            parts = [torch.as_tensor(classify(part)) for part in self.images.split(_BATCH)]
        return torch.cat(parts)

    def check(self, classify: Callable[[Tensor], Any], what: str) -> None:
        """Compare an export that was read back with the model."""
        found, expected = self.run(classify), self.logits
        largest = float((found - expected).abs().max())
        allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
        others = int((found.argmax(1) != expected.argmax(1)).sum())
        # A class can differ within the tolerance, where two logits are the same to four digits.
        if not largest <= allowed:
            raise GratisError(
                f"{what}: its logits differ by {largest:.2g} from the model's, and {others} of "
                f"{len(found)} classes; it was not written. This is an error of the exporter: "
                "choose another kind"
            )
        kind = "random" if self.labels is None else "validation"
        logger.info(
            f"checked on {len(found):,} {kind} images: logits within {largest:.1g}, "
            f"{others} of {len(found):,} classes differ; {self._accuracies(found)}"
        )

    def _accuracies(self, found: Tensor) -> str:
        """Return what is known of the accuracy of an export with these logits, in words."""
        if self.labels is None:
            return "the accuracy is not compared, because the data is not at hand"
        right = [int((each.argmax(1) == self.labels).sum()) for each in (found, self.logits)]
        exported, own = (f"{count / len(found):.1%}" for count in right)
        same = " like the model" if right[0] == right[1] else f", the model {own}"
        return f"accuracy {exported}{same}"
