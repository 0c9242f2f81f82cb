"""What a model starts from: any MODEL that the command line or the library takes."""

from pathlib import Path

from gratis.data.info import DataInfo
from gratis.errors import GratisError
from gratis.model import Architecture, HeadSettings, ModelSettings, weights_file
from gratis.run.folder import RunFolder
from gratis.settings import override


def initial_model_settings(
    target: str, weights: Path | None = None, input_size: int | None = None
) -> ModelSettings:
    """Return the settings of a classifier that starts from an existing model.

    With them as the ``model`` of a recipe, :func:`gratis.run.build_model` returns the model ready
    to train: a :class:`gratis.model.Classifier` whose ``start`` tells whether the class layer was
    kept. A run's classifier is taken whole, with its head and denoiser. The others have no hidden
    layers in their head, so that they compute what they did before.

    Args:
        target: the folder of a run; a timm name; ``local-dir:PATH`` or ``hf-hub:USER/NAME``, a
            model in timm's format; or ``package.module:function``.
        weights: a file of weights (:func:`gratis.model.read_weights`) for a timm name or a
            function. Default: those of the folder or the hub, or those that timm downloads; a
            function's network brings its own.
        input_size: height and width in pixels of the network's input. Default: those of the run,
            or those of the images.
    """
    architecture = Architecture(target)
    if architecture.origin == "timm" and RunFolder(Path(target)).recipe_file.is_file():
        if weights is not None:
            raise GratisError(f"{target}: is a run, which has its own weights; leave out --weights")
        return _of_run(RunFolder(Path(target)), input_size)
    if architecture.origin != "function":
        # Its message says what else a model may be.
        architecture.config  # noqa: B018
    return ModelSettings(
        backbone=target,
        pretrained=architecture.origin != "function" or weights is not None,
        weights=weights,
        input_size=input_size,
        head=HeadSettings(layers=0, dropout=0.0),
    )


def initial_weight_overrides(weights: Path) -> list[str]:
    """Return overrides of a recipe, so that it starts from a file of weights or from a run.

    A run's classifier is taken whole, but for its denoiser, which only some recipes train. Other
    weights are those of a backbone that is not changed; the recipe names it.
    """
    file = weights_file(weights.expanduser())
    changes = {"pretrained": True, "weights": str(file.absolute())}
    folder = RunFolder(file.parent)
    if file.name == folder.checkpoint.name and folder.recipe_file.is_file():
        folder.refuse_untrusted_code()
        own = folder.recipe().model.model_dump(mode="json")
        kept = ("backbone", "input_size", "channels", "stem", "head")
        changes |= {key: own[key] for key in kept}
    else:
        changes |= {"channels": None, "stem": "imagenet"}
    return [override(f"model.{key}", value) for key, value in changes.items()]


def _of_run(folder: RunFolder, input_size: int | None) -> ModelSettings:
    folder.refuse_untrusted_code()
    changes = {"pretrained": True, "weights": weights_file(folder.path).absolute()}
    if input_size is not None:
        changes["input_size"] = input_size
    return folder.recipe().model.model_copy(update=changes)


def classes_of(weights: Path | None) -> tuple[str, ...] | None:
    """Return the names of the classes of a run's weights; ``None`` for those of others."""
    if weights is None:
        return None
    folder = RunFolder(weights_file(weights).parent)
    own = (folder.checkpoint.name, folder.chosen.name)
    if weights_file(weights).name not in own or not folder.data_file.is_file():
        return None
    return DataInfo.read(folder.data_file).classes
