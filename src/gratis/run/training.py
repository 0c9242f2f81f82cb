"""One run: train a recipe in its folder, then measure it."""

import logging
from collections.abc import Sequence
from pathlib import Path

from gratis.errors import Interrupted
from gratis.evaluation import require_libraries
from gratis.files import locked
from gratis.recipe import Recipe, with_overrides
from gratis.results import Results
from gratis.run.budget import fit_to_budget
from gratis.run.build import build_trainer, fit_to_data
from gratis.run.evaluation import load_once, measure_run
from gratis.run.folder import RunFolder
from gratis.run.interrupt import stopping
from gratis.run.precision import fit_to_device
from gratis.training import checkpoint
from gratis.validation_sets import perturbed_sets

logger = logging.getLogger(__name__)


def train(recipe: Recipe, path: Path, sets: Path | None = None) -> Results:
    """Train ``recipe`` in the folder ``path``, or go on where it stopped, and measure it.

    ``sets`` is the folder of perturbed validation sets to measure on; without one the
    ``geometric`` set is made and the transfer metrics stay empty. What is finished is not
    repeated.

    Raises:
        GratisError: wrong data, model or folder, a library that the suite lacks, or another
            process at work in the folder; or, as :class:`Interrupted`, a stop was asked.
    """
    folder = RunFolder(path)
    if folder.results() is None:
        # Not after hours of training.
        require_libraries(recipe.evaluate)
    with locked(path):
        _train(recipe, path, sets)
        finished = folder.results()
        if finished is None or not _still_holds(finished, folder, sets):
            return measure_run(path, sets)
        logger.info(f"{path}: already measured")
        return finished


def resume(path: Path, sets: Path | None = None, overrides: Sequence[str] = ()) -> Results:
    """Go on with the run in the folder ``path`` from its checkpoint.

    ``overrides`` are ``key=value``, of keys that may change on the way.

    Raises:
        GratisError: as :func:`train`, or ``path`` is no run folder.
    """
    return train(with_overrides(RunFolder(path).recipe(), overrides), path, sets)


def train_only(recipe: Recipe, path: Path) -> None:
    """Train ``recipe`` in the folder ``path`` to the end, without measuring.

    Raises:
        GratisError: as :func:`train`.
    """
    with locked(path):
        _train(recipe, path, None)


def _train(recipe: Recipe, path: Path, sets: Path | None) -> None:
    folder = RunFolder(path)
    dataset = load_once(recipe.data)
    recipe = fit_to_device(fit_to_data(recipe, dataset), folder)
    recipe = fit_to_budget(recipe, folder, dataset)
    folder.check(recipe)
    identity = recipe.identity(dataset)
    if checkpoint.finished(folder.checkpoint, identity):
        folder.claim(recipe, None)
        return
    # Before the folder is claimed: wrong sets or a wrong backbone must leave nothing behind.
    if sets is not None:
        perturbed_sets.load(sets, dataset.validation)
    trainer, monitor = build_trainer(recipe, dataset)
    folder.claim(recipe, sets)
    # What was measured of other weights, if anything was, does not hold for these.
    folder.results_file.unlink(missing_ok=True)
    with stopping() as stop:
        finished = trainer.run(path, identity, stop, monitor)
        if stop() or not finished:
            raise Interrupted(
                f"stopped after epoch {trainer.epoch:.1f}, saved; go on with: gratis resume {path}"
            )


def _still_holds(results: Results, folder: RunFolder, sets: Path | None) -> bool:
    """Return whether results were measured as the run's recipe says, on its sets as they are."""
    settings = folder.recipe().evaluate.model_dump(mode="json", exclude_none=True)
    sets = sets or folder.sets()
    return results.resolved.get("evaluate") == settings and (
        sets is None or folder.measured_on(sets)
    )
