"""Load the classifier of a run, with or without its data."""

import functools
from pathlib import Path

from gratis.data import Dataset, DataSettings, load
from gratis.data.info import DataInfo
from gratis.errors import file_error
from gratis.model import Classifier
from gratis.recipe import Recipe
from gratis.run.build import build_model
from gratis.run.folder import RunFolder
from gratis.torch_state import fresh_torch_state
from gratis.training import weights_file
from gratis.training.checkpoint import load_weights
from gratis.training.position import Position

# The rows of a table share a data set: read it once.
load_once = functools.lru_cache(maxsize=2)(load)


def load_again(settings: DataSettings) -> Dataset:
    """Return the data of a run that has started.

    Raises:
        GratisError: as :func:`gratis.data.load`; if its folder is gone, with the option that names
            the present one.
    """
    if settings.is_gone:
        assert settings.root is not None
        remedy = "name the folder that holds it now with --data-root DIR (in Python data_root)"
        raise file_error(settings.root, "held the data of the run and is gone", remedy)
    return load_once(settings)


def load_classifier(path: Path) -> tuple[Classifier, Position, Recipe, DataInfo]:
    """Return the trained classifier of a run, its position, recipe and a description of its data.

    Of a hardened run it is the chosen model. The data itself is not read.
    """
    folder = RunFolder(path)
    recipe, info = folder.recipe(), folder.data()
    model, position = _load(folder, recipe, info)
    return model, position, recipe, info


def load_run(
    path: Path, data_root: Path | None = None
) -> tuple[Classifier, Position, Recipe, Dataset]:
    """Return the trained classifier of a run, its position, its recipe and its data.

    ``data_root`` is the folder that holds the data now. Default: where it was in training.
    """
    folder = RunFolder(path)
    recipe = folder.recipe()
    settings = recipe.data
    if data_root is not None:
        settings = settings.model_copy(update={"root": data_root.expanduser().absolute()})
    dataset = load_again(settings)
    model, position = _load(folder, recipe, DataInfo.of(dataset))
    return model, position, recipe, dataset


def _load(folder: RunFolder, recipe: Recipe, info: DataInfo) -> tuple[Classifier, Position]:
    folder.refuse_untrusted_code()
    # The checkpoint holds every weight: do not fetch pretrained ones only to replace them.
    identity = recipe.identity(info)
    with fresh_torch_state():
        model = build_model(recipe.from_scratch(), info.classes)
        # First, because its message covers a hardened run that is unfinished in any way.
        separate = recipe.harden is not None and not folder.shared
        chosen = weights_file.read(folder.chosen, identity) if separate else None
        position = load_weights(folder.checkpoint, model, identity)
        if chosen is not None:
            weights_file.load(folder.chosen, model, chosen)
    return model.eval(), position
