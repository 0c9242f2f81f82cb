"""The settings of the whole classifier."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gratis.model.denoiser import DenoiserSettings
from gratis.model.head import HeadSettings
from gratis.settings import Settings, absolute

Stem = Literal["imagenet", "small"]
Channels = Annotated[int, Field(gt=0)]


class ModelSettings(Settings):
    """A timm backbone with the paper's head.

    ``input_size`` is the height and width in pixels that the backbone sees (``None``: the data's
    own). ``channels`` narrows a ResNet's four stages. The ``small`` stem is a 3x3 convolution
    with stride 1 and no pooling, for small images from scratch. ``weights`` is a local file of
    the backbone's pretrained weights; without it ``pretrained`` downloads timm's.
    """

    backbone: str = "resnet18"
    pretrained: bool = False
    weights: Annotated[Path, AfterValidator(absolute)] | None = None
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
        if self.pretrained and (self.channels or self.stem != "imagenet"):
            raise ValueError("pretrained weights do not fit changed channels or a small stem")
        return self
