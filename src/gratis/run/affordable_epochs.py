"""Measure how many epochs fit a budget of time."""

import logging
import time

from gratis.data import Dataset
from gratis.errors import GratisError
from gratis.recipe import Recipe
from gratis.run.build import build_to_measure
from gratis.training.trainer import Trainer

logger = logging.getLogger(__name__)

_WARM_UP_SECONDS, _MEASURED_SECONDS = 1.0, 3.0
# The share of the budget for steps; the rest is for checkpoints and small slowdowns.
_SHARE = 0.95


def affordable_epochs(recipe: Recipe, dataset: Dataset) -> float:
    """Return the number of epochs that take ``train.budget`` seconds on this machine.

    Raises:
        GratisError: the budget is too short for a single batch, or the model cannot be built.
    """
    budget = recipe.train.budget
    assert budget is not None
    logger.info(f"measuring training speed for {_WARM_UP_SECONDS + _MEASURED_SECONDS:g} s")
    trainer, monitor = build_to_measure(recipe, dataset)
    seconds_per_pass = _seconds_per_pass(trainer)
    if monitor is not None:
        started = time.perf_counter()
        monitor(trainer.train_state.evaluated)
        passes_between = trainer.batches.image_count * recipe.train.monitor_every
        seconds_per_pass += (time.perf_counter() - started) / passes_between
    passes = _SHARE * budget / seconds_per_pass
    if passes < trainer.batches.image_count / len(trainer.batches):
        raise GratisError(
            f"train.budget: {budget:g} s is less than one batch takes on this machine; increase "
            "it, or make the model or the batch smaller"
        )
    epochs = float(f"{passes * trainer.settings.epochs / trainer.planned:.3g}")
    logger.info(
        f"{1 / seconds_per_pass:.0f} passes/s: {epochs:g} epochs in {budget / 60:.3g} minutes, "
        f"instead of the recipe's {recipe.train.epochs:g}"
    )
    return epochs


def _seconds_per_pass(trainer: Trainer) -> float:
    """Return the time of one pass, with everything that belongs to a step."""
    _train_for(trainer, _WARM_UP_SECONDS)
    before, started = trainer.position.passes, time.perf_counter()
    _train_for(trainer, _MEASURED_SECONDS)
    return (time.perf_counter() - started) / (trainer.position.passes - before)


def _train_for(trainer: Trainer, seconds: float) -> None:
    """Train for so many seconds, at least one step."""
    started = time.perf_counter()
    trainer.step()
    while time.perf_counter() - started < seconds:
        trainer.step()
    # Reading the averages waits for the device.
    trainer.averages["step"].read()
