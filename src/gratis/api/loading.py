"""Load a trained model."""

from os import PathLike
from pathlib import Path
from typing import TypeAlias

from torch import nn

from gratis.errors import GratisError
from gratis.run import ModelSource

# The folder of a run, an ONNX file, package.module:function, or a timm name with weights.
ModelPath: TypeAlias = str | PathLike[str]


def load(
    model: ModelPath,
    *,
    weights: ModelPath | None = None,
    classes: int | None = None,
    input_size: int | None = None,
) -> nn.Module:
    """Return a trained model: images (n, 3, height, width) in [0, 1] to logits.

    Args:
        model: a run or its folder; an ONNX file; ``package.module:function``, which is imported
            and called; the name of a timm model, with ``weights``; or ``local-dir:PATH`` or
            ``hf-hub:USER/NAME``, a model in timm's format.
        weights: the local weights of a timm model or of a function's network: safetensors, or
            tensors saved by torch, also inside a training checkpoint.
        classes: the number of classes of a timm model. Default: that of its weights.
        input_size: height and width in pixels that the network sees. Default: the images' own.

    Returns:
        The module, on the CPU and in evaluation mode. Normalisation and resizing are inside. That
        of a run is a :class:`gratis.model.InferenceModel`, which knows its class names.

    Raises:
        GratisError: the model cannot be loaded, or an argument does not apply to it.
    """
    source = source_of(model, weights, input_size)
    if classes is not None and source.kind != "timm":
        raise GratisError(f"{source.target}: classes applies to timm models only; leave it out")
    return source.build(classes)


def source_of(
    model: ModelPath, weights: ModelPath | None = None, input_size: int | None = None
) -> ModelSource:
    """Return where a model comes from."""
    file = None if weights is None else Path(weights).expanduser()
    target = (
        str(Path(model).expanduser()) if not isinstance(model, str) or model[:1] == "~" else model
    )
    return ModelSource(target, file, input_size)
