"""Choose the epochs of a run from the time that it may take."""

import logging
import time

from gratis.data import Dataset
from gratis.errors import GratisError
from gratis.recipe import Recipe
from gratis.run.build import ENDLESS_EPOCHS, build_to_measure
from gratis.run.folder import RunFolder
from gratis.training.trainer import Trainer

logger = logging.getLogger(__name__)

_WARM_UP_SECONDS, _MEASURED_SECONDS = 1.0, 3.0
# Of the budget: the rest is for checkpoints, and for a machine that slows down a little.
_SHARE = 0.95


def fit_to_budget(recipe: Recipe, folder: RunFolder, dataset: Dataset) -> Recipe:
    """Return the recipe with as many epochs as its ``train.budget`` allows, if it has one.

    A run that has begun keeps its epochs.

    Raises:
        GratisError: the budget is too short for a single batch, or the model cannot be built.
    """
    if recipe.train.budget is None:
        return recipe
    if folder.recipe_file.exists():
        begun = folder.recipe().train
        return _with_epochs(recipe, begun.epochs) if begun.budget == recipe.train.budget else recipe
    budget = recipe.train.budget
    logger.info(
        f"measuring for {_WARM_UP_SECONDS + _MEASURED_SECONDS:g} s how fast this machine trains"
    )
    trainer, monitor = build_to_measure(recipe, dataset)
    seconds_a_pass = _seconds_a_pass(trainer)
    if monitor is not None:
        started = time.perf_counter()
        monitor(trainer.train_state.evaluated)
        looks = trainer.batches.image_count * recipe.train.monitor_every
        seconds_a_pass += (time.perf_counter() - started) / looks
    passes = _SHARE * budget / seconds_a_pass
    epochs = ENDLESS_EPOCHS * passes / trainer.planned
    if passes < trainer.batches.image_count / len(trainer.batches):
        raise GratisError(
            f"train.budget: {budget:g} s is less than one batch takes here; give more time, or "
            "make the model or the batch smaller"
        )
    logger.info(
        f"{1 / seconds_a_pass:.0f} passes/s: {epochs:.3g} epochs in {budget / 60:.3g} minutes, "
        f"instead of the recipe's {recipe.train.epochs:g}"
    )
    return _with_epochs(recipe, float(f"{epochs:.3g}"))


def _with_epochs(recipe: Recipe, epochs: float) -> Recipe:
    train = recipe.train.model_copy(update={"epochs": epochs})
    return recipe.model_copy(update={"train": train})


def _seconds_a_pass(trainer: Trainer) -> float:
    """Return the time of one pass, with all that belongs to a step."""
    _train_for(trainer, _WARM_UP_SECONDS)
    before, started = trainer.position.passes, time.perf_counter()
    _train_for(trainer, _MEASURED_SECONDS)
    return (time.perf_counter() - started) / (trainer.position.passes - before)


def _train_for(trainer: Trainer, seconds: float) -> None:
    """Train for so long, at least one step."""
    started = time.perf_counter()
    trainer.step()
    while time.perf_counter() - started < seconds:
        trainer.step()
    # Reading what the steps reported waits until they are done.
    trainer.averages["step"].read()
