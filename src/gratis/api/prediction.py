"""Classify images."""

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gratis.api.loading import ModelPath, load
from gratis.attacks import frozen
from gratis.data import read_image, to_float
from gratis.errors import GratisError
from gratis.model import InferenceModel, classify_with
from gratis.torch_state import full_precision

_BATCH = 250


class Prediction(NamedTuple):
    """The prediction for one image.

    Attributes:
        name: the most probable class.
        confidence: its probability, in [0, 1].
        top: the most probable classes with their probabilities, the first one included.
    """

    name: str
    confidence: float
    top: tuple[tuple[str, float], ...]


def predict(
    model: nn.Module | ModelPath,
    images: Tensor | str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    top: int = 5,
) -> list[Prediction]:
    """Return the most probable classes of each image.

    Args:
        model: a module that maps images in [0, 1] to logits, or what :func:`load` takes.
        images: float (n, 3, height, width) in [0, 1] on the model's device; or image files, which
            need the model of a run, which stores the image size that files are resized to.
        top: how many classes to return for each image.

    Raises:
        GratisError: the model cannot be loaded, an image cannot be read, or images have another
            shape.
    """
    module = model if isinstance(model, nn.Module) else load(model)
    tensor = images if isinstance(images, Tensor) else _read(images, module)
    if tensor.dim() != 4 or not tensor.is_floating_point():
        raise GratisError(
            "images: needs floats of shape (n, 3, height, width), not "
            f"{tensor.dtype} {tuple(tensor.shape)}"
        )
    with frozen(module), torch.no_grad(), full_precision(tensor.device):
        classify = classify_with(module)
        parts = [classify(part).float().softmax(1) for part in tensor.split(_BATCH)]
    return [_prediction(row, module, top) for part in parts for row in part.cpu()]


def _read(images: str | PathLike[str] | Sequence[str | PathLike[str]], module: nn.Module) -> Tensor:
    if not isinstance(module, InferenceModel):
        raise GratisError(
            "images: files need the model of a run, which knows how they are prepared; pass a "
            "tensor of images in [0, 1]"
        )
    files = [images] if isinstance(images, str | PathLike) else list(images)
    pixels = [read_image(Path(fspath(file)), module.image_size) for file in files]
    device = next(module.parameters()).device
    return to_float(torch.stack([torch.from_numpy(image.copy()) for image in pixels]), device)


def _prediction(probabilities: Tensor, module: nn.Module, top: int) -> Prediction:
    names = getattr(module, "classes", None)
    values, places = probabilities.topk(min(top, len(probabilities)))
    named = tuple(
        (names[place] if names else str(place), value)
        for place, value in zip(places.tolist(), values.tolist(), strict=True)
    )
    return Prediction(*named[0], named)
