"""Train a recipe in its folder, then measure it."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from gratis.data.info import DataInfo
from gratis.errors import GratisError, Interrupted, file_error
from gratis.evaluation import require_libraries
from gratis.recipe import Recipe, with_overrides
from gratis.results import Results
from gratis.run.announcement import announce
from gratis.run.build import build_trainer
from gratis.run.dependent_settings import resolve_dependent
from gratis.run.evaluation import measure_run
from gratis.run.folder import RunFolder
from gratis.run.interrupt import stopping
from gratis.run.loading import load_once
from gratis.torch_state import isolated
from gratis.training import checkpoint
from gratis.training.fit import fit
from gratis.training.trainer import Trainer
from gratis.validation_sets import perturbed_sets

logger = logging.getLogger(__name__)


def train(recipe: Recipe, path: Path, sets: Path | None = None) -> Results:
    """Train ``recipe`` in the folder ``path``, or resume it there, and measure it.

    A run that is already trained or measured is not trained or measured again.

    Args:
        recipe: what to train.
        path: the folder of the run.
        sets: the folder of perturbed validation sets to measure on. Default: the ``geometric``
            set is made, which skips the transfer metrics.

    Raises:
        GratisError: data, model or folder are wrong, a library that the suite needs is missing,
            or another process works in the folder.
        Interrupted: the user stopped the run.
    """
    folder = RunFolder(path)
    if folder.results() is None:
        # Before training, which may take hours.
        require_libraries(recipe.evaluate)
    with folder.locked():
        _train(recipe, path, sets)
        finished = folder.results()
        if finished is None or not _still_holds(finished, folder, sets):
            return measure_run(path, sets)
        logger.info(f"{path}: already measured")
        return finished


def resume(path: Path, sets: Path | None = None, overrides: Sequence[str] = ()) -> Results:
    """Resume the run in the folder ``path`` from its checkpoint.

    ``overrides`` are ``key=value``, of keys that may differ when a run is resumed.

    Raises:
        GratisError: as :func:`train`, or ``path`` is no run folder.
    """
    folder = RunFolder(path)
    if not folder.recipe_file.is_file():
        raise file_error(
            path,
            "is not a run folder (it has no recipe.yaml)",
            "name a folder that 'gratis train' printed",
        )
    return train(with_overrides(folder.recipe(), overrides), path, sets)


def train_only(recipe: Recipe, path: Path) -> None:
    """Train ``recipe`` in the folder ``path`` without measuring it.

    Raises:
        GratisError: as :func:`train`.
    """
    with RunFolder(path).locked():
        _train(recipe, path, None)


def _train(recipe: Recipe, path: Path, sets: Path | None) -> None:
    folder = RunFolder(path)
    dataset = load_once(recipe.data)
    started = folder.recipe() if folder.recipe_file.exists() else None
    # The caller's autocast and random state must neither change the run nor be changed by it.
    with isolated("cuda" if torch.cuda.is_available() else "cpu"):
        recipe = resolve_dependent(recipe, dataset, started)
        folder.check(recipe)
        data = DataInfo.of(dataset)
        identity = recipe.identity(data)
        if checkpoint.finished(folder.checkpoint, identity):
            folder.claim(recipe, data, None)
            return
        # Before the folder is claimed, so that wrong sets or a wrong backbone leave no files.
        if sets is not None:
            perturbed_sets.load(sets, dataset.validation)
        if started is None:
            for line in announce(recipe, dataset):
                logger.info(line)
        trainer, monitor = build_trainer(recipe, dataset)
        _refuse_no_step(trainer)
        folder.claim(recipe, data, sets)
        # Earlier results are those of other weights.
        folder.results_file.unlink(missing_ok=True)
        with stopping() as stop:
            finished = fit(trainer, path, identity, stop, monitor)
            if stop() or not finished:
                raise Interrupted(
                    f"stopped after epoch {trainer.epoch:.1f} and saved; continue with: "
                    f"gratis resume {path}"
                )
        if recipe.train.budget is not None:
            logger.info(
                f"trained for {trainer.position.elapsed:.1f} s of {recipe.train.budget:g} s, "
                f"{trainer.epoch:.3g} epochs; the evaluation comes on top"
            )


def _refuse_no_step(trainer: Trainer) -> None:
    """Refuse a run that ends before its first step: its model would be random."""
    if trainer.finished:
        step = trainer.cost * trainer.batches.largest / trainer.batches.image_count
        raise GratisError(
            f"train.epochs: {trainer.settings.epochs:g} is less than one step, which takes "
            f"{step:.2g} epochs; increase it, or lower train.batch_size"
        )


def _still_holds(results: Results, folder: RunFolder, sets: Path | None) -> bool:
    """Return whether results have the evaluation settings and the sets of the run."""
    settings = folder.recipe().evaluate.model_dump(mode="json", exclude_none=True)
    sets = sets or folder.sets()
    return results.resolved.get("evaluate") == settings and (
        sets is None or folder.measured_on(sets)
    )
