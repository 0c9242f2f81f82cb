"""Resolve a recipe for the data and the device of a run."""

import logging

from gratis.augmentation import AugmentSettings
from gratis.data import Dataset
from gratis.recipe import Recipe
from gratis.run.machine import fastest_precision
from gratis.training import TrainSettings

logger = logging.getLogger(__name__)


def resolve_dependent(recipe: Recipe, dataset: Dataset, started: Recipe | None = None) -> Recipe:
    """Return the recipe with every setting resolved that depends on data or device.

    - ``augment.flip`` is 0 if mirrored images of the data set change their class;
    - ``train.precision`` is not ``auto``;
    - ``train.epochs`` make at least ``train.min_passes`` passes.

    The choices of ``started``, the resolved recipe of a run that has started, stay.
    """
    augment, train = _without_flips(recipe.augment, dataset), recipe.train
    choices = {"precision": _precision(train, started), "epochs": _epochs(train, dataset)}
    train = train.model_copy(update=choices)
    return recipe.model_copy(update={"augment": augment, "train": train})


def _without_flips(augment: AugmentSettings | None, dataset: Dataset) -> AugmentSettings | None:
    if dataset.flippable or augment is None or augment.flip == 0:
        return augment
    logger.info(f"{dataset.name}: mirrored images change their class; augment.flip is set to 0")
    return augment.model_copy(update={"flip": 0.0})


def _epochs(train: TrainSettings, dataset: Dataset) -> float:
    if train.min_passes is None or train.budget is not None:
        return train.epochs
    return max(train.epochs, float(round(train.min_passes / len(dataset.train))))


def _precision(train: TrainSettings, started: Recipe | None) -> str:
    if train.precision != "auto":
        return train.precision
    if started is not None:
        return started.train.precision
    precision = fastest_precision()
    logger.info(f"train.precision: {precision}, the fastest on this device")
    return precision
