"""Harden a trained model in its folder: natural training, scheduled attacks, the frontier."""

from pathlib import Path

from gratis.data.info import DataInfo
from gratis.errors import GratisError
from gratis.files import make_folder
from gratis.recipe import Recipe
from gratis.run.fitting import fit_run
from gratis.run.folder import RunFolder
from gratis.run.frontier import choose_model
from gratis.run.loading import load_once
from gratis.run.natural_model import measure_natural, natural_recipe, natural_state, read_start
from gratis.training import weights_file
from gratis.training.weights_file import StateDict


def fit_hardened(recipe: Recipe, path: Path, sets: Path | None, start: StateDict | None) -> None:
    """Harden a model in the folder ``path``, which is locked already, and choose from its frontier.

    First comes the natural training, if the recipe has one, then training under attack, the
    frontier, and the evaluation of the natural model. What is finished is not done again. Training
    starts from the weights in ``start``, or else from those in the folder.

    Raises:
        GratisError: as :func:`gratis.run.fitting.fit_run`, or there are no weights to start from.
        Interrupted: the user stopped the run.
    """
    folder = RunFolder(path)
    assert recipe.harden is not None
    if start is None and not folder.start.exists():
        raise GratisError(
            f"recipe {recipe.name}: starts from a trained model; name it: gratis harden MODEL"
        )
    identity = {"digest": recipe.harden.digest}

    def keep_start() -> None:
        if start is not None and not folder.start.exists():
            make_folder(path)
            weights_file.write(folder.start, start, identity)

    fit_run(recipe, path, sets, prepare=keep_start, weights=lambda: _natural(folder))
    resolved, dataset = folder.recipe(), load_once(recipe.data)
    # Read again: after a change of the evaluation settings, its natural model is another one.
    natural = _natural(folder)
    choose_model(folder, dataset, natural, resolved.identity(DataInfo.of(dataset)))
    measure_natural(folder, resolved, dataset, sets)


def _natural(folder: RunFolder) -> StateDict:
    """Return the weights of the natural model, which is trained first where necessary."""
    recipe = folder.recipe()
    natural = natural_recipe(recipe)
    if natural is not None:
        make_folder(folder.natural)
        with RunFolder(folder.natural).locked():
            fit_run(
                natural,
                folder.natural,
                weights=lambda: read_start(folder, recipe),
                resumed_in=folder.path,
            )
    return natural_state(folder, recipe)
