"""The settings of the classifier."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gratis.model.denoiser import DenoiserSettings
from gratis.model.head import HeadSettings
from gratis.settings import Settings, absolute

Stem = Literal["imagenet", "small"]
Channels = Annotated[int, Field(gt=0)]


class ModelSettings(Settings):
    """A backbone with the paper's head.

    Attributes:
        backbone: the name of the timm model; ``local-dir:PATH`` or ``hf-hub:USER/NAME``, a model
            in timm's format; or ``package.module:function``, which returns a network from images
            in [0, 1] to logits and has no other head.
        pretrained: start from pretrained weights: those in ``weights``, or else those of the
            folder, or else timm's, which are downloaded.
        weights: a local file with pretrained weights, or the folder of a run.
        new_class_layer: train a new class layer even where that of the weights fits.
        input_size: the height and width in pixels of the backbone's input; ``None`` keeps those of
            the data, or those that a network of one size was made for.
        channels: the channels of a ResNet's four stages, to make it narrower.
        stem: ``small`` is a 3x3 convolution of stride 1 without pooling, for training on small
            images from scratch.
        freeze_backbone: train only the head and the denoiser.
        head: the size of the head.
        denoiser: the size of the denoiser; ``None`` has none.
    """

    backbone: str = "resnet18"
    pretrained: bool = False
    weights: Annotated[Path, AfterValidator(absolute)] | None = None
    new_class_layer: bool = False
    input_size: Annotated[int, Field(ge=8)] | None = None
    channels: tuple[Channels, Channels, Channels, Channels] | None = None
    stem: Stem = "imagenet"
    freeze_backbone: bool = False
    head: HeadSettings = HeadSettings()
    denoiser: DenoiserSettings | None = None

    @model_validator(mode="after")
    def _pretrained_fits(self) -> Self:
        if self.weights and not self.pretrained:
            raise ValueError("weights are only read with pretrained: true")
        changed = self.channels or self.stem != "imagenet"
        if self.pretrained and changed and self.weights is None:
            raise ValueError("timm's weights do not fit changed channels or a small stem")
        return self
