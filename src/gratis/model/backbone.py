"""A backbone without its class layer."""

from typing import Any, NamedTuple

from torch import nn

from gratis.errors import GratisError
from gratis.model.functions import from_function
from gratis.model.networks import Architecture
from gratis.model.settings import ModelSettings


class Backbone(NamedTuple):
    """A backbone and what it expects.

    Attributes:
        network: maps normalised images to features, or to logits if it has a class layer.
        mean: what to subtract from each channel.
        std: what to divide each channel by.
        input_size: height and width in pixels of its input; ``None`` keeps those of the images.
        features: the number of features; ``None`` if it has a class layer.
    """

    network: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_size: int | None
    features: int | None


def build_backbone(settings: ModelSettings) -> Backbone:
    """Return a backbone with random weights."""
    architecture = Architecture(settings.backbone)
    if architecture.origin == "function":
        if settings.channels or settings.stem != "imagenet":
            raise GratisError(
                f"model.backbone: {settings.backbone} is a function, whose network has its own "
                "channels and stem; set model.channels=null model.stem=imagenet"
            )
        network = from_function(settings.backbone)
        return Backbone(network, (0.0,) * 3, (1.0,) * 3, settings.input_size, None)
    try:
        size = settings.input_size or architecture.fixed_size
    except GratisError as error:
        raise GratisError(f"model.backbone: {error}") from error
    network = _create(architecture, settings)
    if settings.stem == "small" and not replace_stem(network):
        raise GratisError(f"model.stem: {settings.backbone} has no stem to replace; use a ResNet")
    config: Any = network.pretrained_cfg
    # Some backbones, such as MobileNets, have a wider layer after pooling.
    features: Any = getattr(network, "head_hidden_size", None) or network.num_features
    return Backbone(network, tuple(config["mean"]), tuple(config["std"]), size, int(features))


def _create(architecture: Architecture, settings: ModelSettings) -> nn.Module:
    options: dict[str, Any] = {"channels": settings.channels} if settings.channels else {}
    try:
        return architecture.build(0, settings.input_size, **options)
    except TypeError as error:
        if not options:
            raise
        raise GratisError(
            f"model.channels: {settings.backbone} cannot be narrowed; use a ResNet"
        ) from error


def replace_stem(backbone: nn.Module) -> bool:
    """Replace the 7x7 convolution and the pooling by a 3x3 convolution of stride 1, if it has both.

    Returns:
        Whether the backbone has them, as ResNets do.
    """
    # The names in ResNets and in pre-activation ResNets.
    for convolution, pooling in (("conv1", "maxpool"), ("stem.conv", "stem.pool")):
        stem = submodule(backbone, convolution)
        if isinstance(stem, nn.Conv2d) and submodule(backbone, pooling) is not None:
            small = nn.Conv2d(3, stem.out_channels, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(small.weight, mode="fan_out", nonlinearity="relu")
            backbone.set_submodule(convolution, small)
            backbone.set_submodule(pooling, nn.Identity())
            return True
    return False


def submodule(module: nn.Module, path: str) -> nn.Module | None:
    """Return a part of a module by its dotted name, or ``None`` if there is none."""
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
