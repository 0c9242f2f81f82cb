"""The trained model that hardening starts from: its network, its weights, its class layer."""

from typing import NamedTuple

from torch import Tensor

from gratis.errors import GratisError
from gratis.model import Architecture, ModelSettings
from gratis.recipe import Recipe
from gratis.run.build import build_model
from gratis.run.folder import RunFolder
from gratis.run.loading import load_classifier
from gratis.run.model_argument import initial_model_settings
from gratis.run.sources import ModelSource


class StartingPoint(NamedTuple):
    """A trained model as the beginning of a run.

    Attributes:
        settings: the network, without the file of its weights.
        state: the whole state dict of a :class:`gratis.model.Classifier` with these settings.
        keeps_head: whether the class layer is the model's own. Otherwise it is new, because the
            data has other classes.
    """

    settings: ModelSettings
    state: dict[str, Tensor]
    keeps_head: bool


def starting_point(source: ModelSource, recipe: Recipe, classes: tuple[str, ...]) -> StartingPoint:
    """Return a trained model as the beginning of a run on data with these classes."""
    if source.kind == "onnx":
        raise GratisError(
            f"{source.target}: an ONNX file has no gradients; name the model that it was made from"
        )
    if is_run(source):
        # An unfinished run is refused.
        load_classifier(source.folder)
    size = None if is_run(source) else recipe.model.input_size
    target = str(source.folder) if is_run(source) else source.target
    settings = initial_model_settings(target, source.weights, size)
    own = {"freeze_backbone": False, "new_class_layer": recipe.model.new_class_layer}
    settings = settings.model_copy(update=own)
    model = build_model(recipe.model_copy(update={"model": settings}), classes)
    # The network of a function brings its own class layer.
    keeps_head = model.start is None or model.start.head_kept
    loaded = {"pretrained": False, "weights": None, "new_class_layer": False}
    untied = settings.model_copy(update=loaded)
    return StartingPoint(untied, model.state_dict(), keeps_head)


def is_run(source: ModelSource) -> bool:
    """Return whether a model is the folder of a run."""
    return source.weights is None and RunFolder(source.folder).recipe_file.is_file()


def native_size(source: ModelSource) -> int | None:
    """Return the height and width in pixels that a timm model was made for.

    ``None`` for the network of a function.
    """
    architecture = Architecture(source.target)
    if source.kind == "onnx" or architecture.origin == "function":
        return None
    return int(architecture.config["input_size"][-1])
