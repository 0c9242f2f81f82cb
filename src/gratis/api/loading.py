"""Load a trained model."""

from os import PathLike
from typing import TypeAlias

from torch import nn

from gratis.api.arguments import optional_path, path_of, python_names, whole_number
from gratis.errors import GratisError
from gratis.run import ModelSource
from gratis.settings import brief
from gratis.trusted_code import takes_trust_code

# The folder of a run, an ONNX file, package.module:function, or a timm name with weights.
ModelPath: TypeAlias = str | PathLike[str]


@python_names
@takes_trust_code
def load(
    model: ModelPath,
    *,
    weights: ModelPath | None = None,
    classes: int | None = None,
    input_size: int | None = None,
    trust_code: bool = False,
) -> nn.Module:
    """Return a trained model: images (n, 3, height, width) in [0, 1] to logits.

    Args:
        model: a run or its folder; ``hub:USER/NAME``, a run that was shared; an ONNX file;
            ``package.module:function``, which is imported and called; the name of a timm model,
            with ``weights``; or ``local-dir:PATH`` or ``hf-hub:USER/NAME``, a model in timm's
            format.
        weights: the local weights of a timm model or of a function's network: safetensors, or
            tensors saved by torch, also inside a training checkpoint.
        classes: the number of classes of a timm model. Default: that of its weights.
        input_size: height and width in pixels that the network sees. Default: the images' own.
        trust_code: whether to import the code that the recipe of a run names as its network.
            Default: it is refused.

    Returns:
        The module, on the CPU and in evaluation mode. Normalisation and resizing are inside. That
        of a run is a :class:`gratis.model.InferenceModel`, which knows its class names.

    Raises:
        GratisError: the model cannot be loaded, or an argument does not apply to it.
    """
    classes = None if classes is None else whole_number("classes", classes, 1)
    source = source_of(model, weights, input_size)
    if classes is not None and source.kind != "timm":
        raise GratisError(f"{source.target}: classes applies to timm models only; leave it out")
    return source.build(classes)


def source_of(
    model: ModelPath, weights: ModelPath | None = None, input_size: int | None = None
) -> ModelSource:
    """Return where a model comes from.

    Raises:
        GratisError: an argument has the wrong type, or does not apply to the model.
    """
    if not isinstance(model, str | PathLike | nn.Module):
        raise GratisError(
            f"model: needs a path, a name or a torch.nn.Module, not {brief(model)}; wrap a "
            "function in a module, and take the module() of an exported program"
        )
    # The name of a timm model is no path.
    plain = isinstance(model, str) and model[:1] != "~"
    target = str(model) if plain else str(path_of("model", model))
    size = None if input_size is None else whole_number("input_size", input_size, 1)
    return ModelSource(target, optional_path("weights", weights), size)
