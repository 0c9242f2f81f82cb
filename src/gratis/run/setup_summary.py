"""What a run is about to do, in a few lines: data, model, training, memory."""

import math

from gratis.data import Dataset
from gratis.recipe import Recipe
from gratis.run.memory import describe_kept
from gratis.schedule import Schedule


def setup_summary(recipe: Recipe, dataset: Dataset) -> list[str]:
    """Return three lines about a resolved recipe, and what changes each.

    There is a fourth if the adversary keeps something for every training image.
    """
    lines = [_data(dataset), _model(recipe, dataset), _training(recipe, dataset)]
    kept = describe_kept(recipe, dataset)
    return [*lines, kept] if kept else lines


def _data(dataset: Dataset) -> str:
    return (
        f"data: {len(dataset.train):,} training and {len(dataset.validation):,} validation images "
        f"of {len(dataset.classes)} classes, read at {dataset.size} px (data.size)"
    )


def _model(recipe: Recipe, dataset: Dataset) -> str:
    settings = recipe.model
    name = settings.backbone
    if settings.channels:
        name += f" with {'-'.join(map(str, settings.channels))} channels"
    start = "pretrained" if settings.pretrained else "from scratch"
    if recipe.starts_from is not None:
        named = recipe.starts_from == settings.backbone
        start = "from trained weights" if named else f"from {recipe.starts_from}"
    size = settings.input_size or dataset.size
    precision = recipe.train.precision
    return f"model: {name}, {start}, at {size} px (model.*), in {precision} (train.precision)"


def _training(recipe: Recipe, dataset: Dataset) -> str:
    train = recipe.train
    length = (
        f"{train.epochs:g} epochs (train.epochs, or --budget 20m)"
        if train.budget is None
        else f"{train.budget:g} s (--budget)"
    )
    batch = min(train.batch_size, len(dataset.train))
    return (
        f"training: {length} in batches of {batch}, {_epsilon(recipe)}; evaluation at "
        f"{_of_255(recipe.evaluate.epsilon)} (evaluate.epsilon){_l2(recipe)}"
    )


def _l2(recipe: Recipe) -> str:
    if not recipe.evaluate.l2:
        return ""
    return f" and in L2 at {recipe.evaluate.epsilon_l2:g} (evaluate.epsilon_l2)"


def _epsilon(recipe: Recipe) -> str:
    ((word, settings),) = recipe.adversary.chosen().items()
    epsilon = getattr(settings, "epsilon", None)
    if not isinstance(epsilon, Schedule):
        return f"adversary {word}"
    low, high = min(epsilon.bounds()), max(epsilon.bounds())
    if getattr(settings, "norm", "linf") == "l2":
        values = f"{high:g}" if math.isclose(low, high) else f"{low:g} to {high:g}"
        return f"adversary {word} in L2 at epsilon {values}"
    values = _of_255(high) if math.isclose(low, high) else f"{255 * low:.3g} to {_of_255(high)}"
    return f"adversary {word} at epsilon {values}"


def _of_255(epsilon: float) -> str:
    return f"{255 * epsilon:.3g}/255"
