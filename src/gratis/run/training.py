"""One run: train a recipe in its folder, then measure it."""

from pathlib import Path

from gratis.errors import GratisError
from gratis.progress import say
from gratis.recipe import Recipe
from gratis.results import Results
from gratis.run.build import build_trainer, fit_to_data
from gratis.run.evaluation import evaluate_run, load_once
from gratis.run.folder import RunFolder
from gratis.run.interrupt import stopping


class Interrupted(GratisError):
    """Training stopped because the user asked; the message says how to go on."""


def train(recipe: Recipe, path: Path, sets: Path | None = None) -> Results:
    """Train ``recipe`` in the folder ``path``, or go on where it stopped, and measure it.

    ``sets`` is the folder of perturbed validation sets to measure on; without one the
    ``geometric`` set is made and the transfer metrics stay empty. A finished run is not repeated.

    Raises:
        GratisError: wrong data, model or folder; or, as :class:`Interrupted`, a stop was asked.
    """
    train_only(recipe, path)
    finished = RunFolder(path).results()
    if finished is not None:
        say(f"{path}: already measured")
        return finished
    return evaluate_run(path, sets)


def resume(path: Path, sets: Path | None = None) -> Results:
    """Go on with the run in the folder ``path`` from its checkpoint.

    Raises:
        GratisError: as :func:`train`, or ``path`` is no run folder.
    """
    return train(RunFolder(path).recipe(), path, sets)


def train_only(recipe: Recipe, path: Path) -> None:
    """Train ``recipe`` in the folder ``path`` to the end, without measuring.

    Raises:
        GratisError: as :func:`train`.
    """
    dataset = load_once(recipe.data)
    recipe = fit_to_data(recipe, dataset)
    folder = RunFolder(path)
    folder.claim(recipe)
    if folder.results() is not None:
        return
    trainer, watch = build_trainer(recipe, dataset)
    with stopping() as stop:
        finished = trainer.run(path, recipe.identity(dataset.fingerprint), stop, watch)
    if not finished:
        raise Interrupted(
            f"stopped after epoch {trainer.epoch:.1f}, saved; go on with: gratis resume {path}"
        )
