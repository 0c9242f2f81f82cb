"""Fit a recipe in its folder, from the beginning or from its checkpoint."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch

from gratis import ranks
from gratis.data import Dataset
from gratis.data.info import DataInfo
from gratis.errors import GratisError, Interrupted, quoted
from gratis.model import Classifier
from gratis.recipe import Recipe
from gratis.results import WeightsFile
from gratis.run.build import build_trainer
from gratis.run.dependent_settings import resolve_dependent
from gratis.run.folder import RunFolder
from gratis.run.interrupt import stopping
from gratis.run.loading import load_again, load_once
from gratis.run.setup_summary import setup_summary
from gratis.torch_state import fresh_torch_state
from gratis.training import checkpoint
from gratis.training.fit import fit
from gratis.training.identity import RunIdentity
from gratis.training.monitor import OverfittingMonitor
from gratis.training.trainer import Trainer
from gratis.training.weights_file import StateDict
from gratis.validation_sets import perturbed_sets

logger = logging.getLogger(__name__)


def fit_run(
    recipe: Recipe,
    path: Path,
    sets: Path | None = None,
    *,
    prepare: Callable[[], None] | None = None,
    weights: Callable[[], StateDict] | None = None,
    resumed_in: Path | None = None,
) -> None:
    """Train ``recipe`` in the folder ``path``, which is locked already, unless it is trained.

    A run with results whose checkpoint was deleted is not trained again.

    Args:
        recipe: what to train.
        path: the folder of the run.
        sets: the folder of perturbed validation sets that the run will be measured on.
        prepare: called just before the folder is claimed.
        weights: returns the weights to start from; called after the folder is claimed, and only
            if the run has not started. Default: those that the recipe builds.
        resumed_in: the folder to name when the run is interrupted. Default: ``path``.

    Raises:
        GratisError: data, model or folder are wrong, or training diverges.
        Interrupted: the user stopped the run.
    """
    folder = RunFolder(path)
    started = folder.recipe() if folder.recipe_file.exists() else None
    dataset = load_once(recipe.data) if started is None else load_again(recipe.data)
    # The caller's autocast and random state must neither change the run nor be changed by it.
    with fresh_torch_state("cuda" if torch.cuda.is_available() else "cpu"):
        recipe = resolve_dependent(recipe, dataset, started)
        folder.check(recipe)
        data = DataInfo.of(dataset)
        identity = recipe.identity(data)
        if checkpoint.finished(folder.checkpoint, identity) or folder.measured_only(data):
            folder.claim(recipe, data, None)
            ranks.of_first(None)
            return
        # Before the folder is claimed, so that wrong sets or a wrong backbone leave no files.
        if sets is not None:
            perturbed_sets.load(sets, dataset.validation)
        resumed = checkpoint.exists(folder.checkpoint)
        ranks.of_first((recipe.from_scratch() if resumed else recipe, identity))
        trainer, monitor = _build(recipe, dataset, started is not None, resumed)
        if prepare is not None:
            prepare()
        folder.claim(recipe, data, sets)
        # Earlier results are those of other weights.
        folder.results_file.unlink(missing_ok=True)
        folder.chosen.unlink(missing_ok=True)
        _note_start(folder, trainer)
        if weights is not None and not resumed:
            trainer.train_state.load_weights(weights())
        with stopping() as stop:
            finished = fit(trainer, path, identity, stop, monitor)
            if stop() or not finished:
                raise Interrupted(
                    f"stopped after epoch {trainer.epoch:.1f} and saved; continue with: "
                    f"gratis resume {quoted(resumed_in or path)}"
                )
        _log_time(recipe, trainer)


def fit_on_other_rank(path: Path) -> bool:
    """Train on another rank than the first what that one trains in the folder ``path``.

    The first rank alone writes there. The others read its checkpoints. Return whether the training
    ended; it did not if it was stopped.
    """
    with fresh_torch_state("cuda" if torch.cuda.is_available() else "cpu"):
        unknown: tuple[Recipe, RunIdentity] | None = None
        told = ranks.of_first(unknown)
        if told is None:
            return True
        resolved, identity = told
        trainer, monitor = build_trainer(resolved, load_once(resolved.data))
        with stopping() as stop:
            return fit(trainer, path, identity, stop, monitor)


def _build(
    recipe: Recipe, dataset: Dataset, announced: bool, resumed: bool
) -> tuple[Trainer, OverfittingMonitor | None]:
    if not announced:
        for line in setup_summary(recipe, dataset):
            logger.info(line)
    # A checkpoint holds every weight: what the run started from may be gone.
    trainer, monitor = build_trainer(recipe.from_scratch() if resumed else recipe, dataset)
    _refuse_no_step(trainer)
    return trainer, monitor


def _note_start(folder: RunFolder, trainer: Trainer) -> None:
    """Remember the file of weights that the training starts from, if there is one."""
    module = trainer.train_state.module
    if isinstance(module, Classifier) and module.start is not None:
        start = module.start
        folder.note_start_weights(WeightsFile(file=start.file, sha256=start.sha256))


def _log_time(recipe: Recipe, trainer: Trainer) -> None:
    if recipe.train.budget is not None:
        logger.info(
            f"trained for {trainer.position.elapsed:.1f} s of {recipe.train.budget:g} s, "
            f"{trainer.epoch:.3g} epochs; the evaluation takes additional time"
        )


def _refuse_no_step(trainer: Trainer) -> None:
    """Refuse a run that ends before its first step: its model would be random."""
    if trainer.finished:
        step = trainer.cost * trainer.batches.largest / trainer.batches.image_count
        raise GratisError(
            f"train.epochs: {trainer.settings.epochs:g} is less than one step, which takes "
            f"{step:.2g} epochs; increase it, or lower train.batch_size"
        )
