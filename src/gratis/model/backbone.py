"""A timm backbone without its class layer."""

from typing import Any

from torch import nn

from gratis.errors import GratisError
from gratis.model.settings import ModelSettings
from gratis.model.weights import load_backbone
from gratis.settings import did_you_mean


def build_backbone(settings: ModelSettings) -> tuple[nn.Module, dict[str, Any], int]:
    """Return a backbone, the mean and std that it expects, and its number of features.

    Raises:
        GratisError: timm has no such backbone, or the weights are missing or do not fit.
    """
    backbone = _create(settings)
    if settings.stem == "small":
        _replace_stem(backbone, settings.backbone)
    if settings.pretrained and settings.weights:
        load_backbone(backbone, settings.weights)
    config: Any = backbone.pretrained_cfg
    # Some backbones, such as MobileNets, have a wider layer after pooling.
    features: Any = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    return backbone, {"mean": config["mean"], "std": config["std"]}, int(features)


def _create(settings: ModelSettings) -> nn.Module:
    import timm

    if not timm.is_model(settings.backbone):
        hint = did_you_mean(settings.backbone, timm.list_models())
        raise GratisError(f"model.backbone: timm has no {settings.backbone!r}{hint[:200]}")
    options: dict[str, Any] = {"channels": settings.channels} if settings.channels else {}
    download = settings.pretrained and settings.weights is None
    try:
        return timm.create_model(settings.backbone, pretrained=download, num_classes=0, **options)
    except TypeError as error:
        raise GratisError(
            f"model.channels: {settings.backbone} cannot be narrowed; use a ResNet"
        ) from error
    except Exception as error:
        if not download:
            raise
        raise GratisError(
            f"model.pretrained: timm's weights for {settings.backbone} cannot be downloaded "
            f"({type(error).__name__}); use a local file with model.weights=FILE, or train from "
            "scratch with model.pretrained=false"
        ) from error


def _replace_stem(backbone: nn.Module, name: str) -> None:
    """Replace the 7x7 convolution and the pooling by a 3x3 convolution of stride 1."""
    # The names in ResNets and in pre-activation ResNets.
    for convolution, pooling in (("conv1", "maxpool"), ("stem.conv", "stem.pool")):
        stem = _part(backbone, convolution)
        if isinstance(stem, nn.Conv2d) and _part(backbone, pooling) is not None:
            small = nn.Conv2d(3, stem.out_channels, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(small.weight, mode="fan_out", nonlinearity="relu")
            backbone.set_submodule(convolution, small)
            backbone.set_submodule(pooling, nn.Identity())
            return
    raise GratisError(f"model.stem: {name} has no stem to replace; use a ResNet")


def _part(backbone: nn.Module, path: str) -> nn.Module | None:
    try:
        return backbone.get_submodule(path)
    except AttributeError:
        return None
