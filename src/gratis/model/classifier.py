"""The classifier: denoiser, resizing, normalisation, backbone and head in one module."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from gratis.model.backbone import build_backbone
from gratis.model.denoiser import Denoiser
from gratis.model.head import Head, NoHead
from gratis.model.resizing import resized
from gratis.model.settings import ModelSettings


class Output(NamedTuple):
    """The output of the classifier for n images.

    Attributes:
        logits: (n, classes).
        embedding: (n, head width).
        denoised: (n, 3, height, width) at the data's resolution; ``None`` without a denoiser.
    """

    logits: Tensor
    embedding: Tensor
    denoised: Tensor | None


@dataclass(frozen=True)
class Start:
    """What a classifier started from.

    Attributes:
        file: the file of its weights, or the name of those that timm downloaded.
        sha256: the SHA-256 of the file; ``None`` if timm downloaded it.
        head_kept: whether the class layer comes from the file too. Otherwise it is random.
    """

    file: str
    sha256: str | None
    head_kept: bool


class Classifier(nn.Module):
    """Maps images in [0, 1] to logits; it resizes and normalises them itself."""

    mean: Tensor
    std: Tensor
    # Where its weights come from, if it was not trained from scratch.
    start: Start | None = None

    def __init__(self, settings: ModelSettings, classes: int) -> None:
        """Build the network for a number of classes, with random weights.

        :func:`gratis.model.load_initial_weights` loads those that ``settings`` name.
        """
        super().__init__()
        self.settings = settings
        backbone = build_backbone(settings)
        self.backbone, self.input_size = backbone.network, backbone.input_size
        if backbone.features is None:
            self.head: nn.Module = NoHead(classes, settings.backbone)
        else:
            self.head = Head(backbone.features, classes, settings.head)
        self.denoiser = Denoiser(settings.denoiser) if settings.denoiser else None
        for name, values in (("mean", backbone.mean), ("std", backbone.std)):
            self.register_buffer(
                name, torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1), persistent=False
            )
        if settings.freeze_backbone:
            self.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Switch the mode; a frozen backbone stays in evaluation mode and keeps its statistics."""
        super().train(mode)
        if self.settings.freeze_backbone:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Output:
        """Classify images (n, 3, height, width) in [0, 1]."""
        denoised = self.denoiser(images) if self.denoiser is not None else None
        seen = images if denoised is None else denoised
        logits, embedding = self.head(self.backbone(self._prepare(seen)))
        return Output(logits, embedding, denoised)

    def _prepare(self, images: Tensor) -> Tensor:
        return (resized(images, self.input_size) - self.mean) / self.std


def classify_with(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return ``model`` as a function from images to logits."""
    return lambda images: logits_of(model(images))


def logits_of(output: Tensor | Output) -> Tensor:
    """Return the logits of a model that returns them alone or in an :class:`Output`."""
    return output if isinstance(output, Tensor) else output.logits
