"""Train a recipe."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from gratis.api.arguments import data_overrides, listed, optional_path, path_of, python_names
from gratis.errors import GratisError
from gratis.loggers import require
from gratis.recipe import Recipe, resolve_by_default
from gratis.run import RunFolder, initial_weight_overrides
from gratis.run import train as train_run
from gratis.settings import overrides_of
from gratis.trusted_code import takes_trust_code


@python_names
@takes_trust_code
def train(
    recipe: str | PathLike[str] | Recipe,
    *,
    data: str | None = None,
    data_root: str | PathLike[str] | None = None,
    skip_broken: bool = False,
    budget: str | float | None = None,
    out: str | PathLike[str] | None = None,
    sets: str | PathLike[str] | None = None,
    profile: str | PathLike[str] | None = None,
    weights: str | PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    log: str | Sequence[str] = (),
    trust_code: bool = False,
) -> RunFolder:
    """Train a recipe and evaluate it; the same call continues an interrupted run.

    Args:
        recipe: the name of a packaged recipe, such as ``contrastive-scheduled``; a ``.yaml``
            file; or a ``Recipe``, with no other settings except ``out`` and ``sets``.
        data: ``digits``, ``tiny-imagenet``, ``cifar10``, ``cifar100``, ``folder:PATH``,
            ``csv:FILE``, ``hf:NAME`` or ``wds:PATTERN``. Default: the recipe's.
        data_root: the folder that holds the data set.
        skip_broken: whether to leave out images that cannot be read. Default: they are an error.
        budget: how long training takes, such as ``"20m"``, or seconds; the number of epochs
            follows; the evaluation takes additional time. Default: the recipe's epochs.
        out: the folder of the run. Default: ``runs/RECIPE-DATA-seedN``.
        sets: a folder of perturbed validation sets to evaluate on. Default: only the geometric
            set is made.
        profile: the name or file of a profile that resizes the recipe. Default: the one for the
            data; a ``.yaml`` recipe is taken as it is.
        weights: what to start from: a file of weights of the recipe's backbone, or a run.
            Default: the recipe's.
        overrides: ``key=value``, such as ``"train.epochs=5"``.
        log: loggers that are told of the run: ``tensorboard``, ``wandb``, ``mlflow``, or several.
            Each needs the extra of its name. Default: none.
        trust_code: whether to import the code that the recipe of a run names as its network.
            Default: it is refused.

    Returns:
        The run's folder, which :func:`load` and :func:`evaluate` take as a model.

    Raises:
        GratisError: a wrong name, key, value or folder, or training diverges; as
            :class:`gratis.errors.Interrupted`, a stop was asked for.
    """
    require(log)
    start = optional_path("weights", weights)
    changes = [
        *data_overrides(data, optional_path("data_root", data_root), skip_broken),
        *([] if start is None else initial_weight_overrides(start)),
        *overrides_of({"train.budget": budget}),
        *listed(overrides),
    ]
    resolved = _resolved(recipe, profile, changes)
    folder = optional_path("out", out) or default_folder(resolved)
    train_run(resolved, folder, optional_path("sets", sets), log=log)
    return RunFolder(folder)


def default_folder(recipe: Recipe) -> Path:
    """Return the folder of a recipe's run where none is given."""
    return Path("runs") / f"{recipe.name}-{recipe.data.label}-seed{recipe.seed}"


def _resolved(
    recipe: str | PathLike[str] | Recipe,
    profile: str | PathLike[str] | None,
    changes: Sequence[str],
) -> Recipe:
    if isinstance(recipe, Recipe):
        if changes or profile is not None:
            raise GratisError(
                "train: a Recipe takes no other settings except out and sets; change it with "
                "gratis.recipe.with_overrides"
            )
        return recipe.with_norms().with_data_size()
    name = recipe if isinstance(recipe, str) else str(path_of("recipe", recipe))
    chosen = optional_path("profile", profile)
    return resolve_by_default(name, None if chosen is None else str(chosen), changes)
