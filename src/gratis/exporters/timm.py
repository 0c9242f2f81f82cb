"""Export as a folder that ``timm.create_model("local-dir:PATH", pretrained=True)`` loads."""

import json
import logging
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from gratis.errors import GratisError, file_error
from gratis.exporters.content import Content
from gratis.files import atomic_folder
from gratis.model.resizing import resized

logger = logging.getLogger(__name__)

CONFIG, WEIGHTS = "config.json", "model.safetensors"
# Their word for each of our ways to make an image square.
_CROP_MODES = {"crop": "center", "pad": "border", "squash": "squash"}
_INSTEAD = "export it as onnx or torch-export"


def write_timm(content: Content, path: Path) -> None:
    """Write a folder with ``config.json`` and ``model.safetensors``."""
    _refuse_inexpressible(content, path)
    with atomic_folder(path, replaces=frozenset({CONFIG, WEIGHTS})) as folder:
        layer = _class_layer(content, path)
        (folder / CONFIG).write_text(json.dumps(_config(content, layer), indent=2) + "\n")
        # As bytes: the library's own writing lets nobody else read the file.
        weights = save(_weights(content, layer), metadata={"format": "pt"})
        (folder / WEIGHTS).write_bytes(weights)
        _check(content, folder, path)
    size = content.model.image_size
    if content.input_size != size:
        logger.info(
            f"{path}: resize images to {size} pixels before timm's transform, as in training; from "
            "larger images the transform makes other inputs"
        )


def _refuse_inexpressible(content: Content, path: Path) -> None:
    settings = content.classifier.settings
    reasons = {
        "the code of a function": content.head is None,
        "a head with hidden layers": settings.head.layers > 0,
        "a denoiser": settings.denoiser is not None,
        "a small stem": settings.stem != "imagenet",
    }
    for what, present in reasons.items():
        if present:
            raise file_error(path, f"timm has no network with {what}", _INSTEAD)


def _class_layer(content: Content, path: Path) -> str:
    """Return the name of the one class layer in timm's network."""
    own: Any = content.classifier.backbone.pretrained_cfg
    name = own.get("classifier")
    if not isinstance(name, str):
        problem = "timm's network has no single class layer"
        raise file_error(path, problem, _INSTEAD)
    return name


def _weights(content: Content, layer: str) -> dict[str, Tensor]:
    classifier = content.classifier
    assert content.head is not None
    own = content.head.classes.state_dict()
    state = {
        **classifier.backbone.state_dict(),
        **{f"{layer}.{name}": tensor for name, tensor in own.items()},
    }
    return {name: tensor.detach().contiguous().clone() for name, tensor in state.items()}


def _config(content: Content, layer: str) -> dict[str, Any]:
    classifier, names = content.classifier, list(content.model.classes)
    architecture, arguments = content.in_timm
    size = content.input_size
    own: Any = classifier.backbone.pretrained_cfg
    return {
        "architecture": architecture,
        "num_classes": len(names),
        "num_features": classifier.backbone.num_features,
        "label_names": names,
        "model_args": arguments,
        "pretrained_cfg": {
            "tag": "gratis",
            "custom_load": False,
            "input_size": [3, size, size],
            "fixed_input_size": bool(own.get("fixed_input_size", False)),
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": _CROP_MODES[content.model.resize],
            "mean": classifier.mean.flatten().tolist(),
            "std": classifier.std.flatten().tolist(),
            "num_classes": len(names),
            "first_conv": own.get("first_conv"),
            "classifier": layer,
        },
        "gratis": content.facts,
    }


def _check(content: Content, folder: Path, path: Path) -> None:
    import timm

    try:
        network: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise GratisError(f"{path}: timm cannot load it ({reason}); {_INSTEAD}") from error
    mean, std, size = content.classifier.mean, content.classifier.std, content.input_size
    content.check(lambda images: network((resized(images, size) - mean) / std), str(path))
