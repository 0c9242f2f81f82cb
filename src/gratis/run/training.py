"""Train a recipe in its folder, then measure it."""

import logging
from collections.abc import Sequence
from pathlib import Path

from gratis import ranks
from gratis.errors import GratisError, file_error
from gratis.evaluation import require_libraries
from gratis.loggers import following, require
from gratis.recipe import Recipe, with_overrides
from gratis.results import Results
from gratis.run.evaluation import measure_run, still_holds
from gratis.run.fitting import fit_on_other_rank, fit_run
from gratis.run.folder import RunFolder
from gratis.run.hardening import fit_hardened
from gratis.training.weights_file import StateDict
from gratis.trusted_code import trusting_code

logger = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    path: Path,
    sets: Path | None = None,
    start: StateDict | None = None,
    log: str | Sequence[str] = (),
) -> Results:
    """Train ``recipe`` in the folder ``path``, or resume it there, and measure it.

    A run that is already trained or measured is not trained or measured again. It is measured on
    the perturbed ``sets``; without them the ``geometric`` set is made, which skips the transfer
    metrics. ``start`` are the weights that a hardened run starts from, by default those in its
    folder. ``log`` are names of loggers, which are told of the run (:mod:`gratis.loggers`).

    Raises:
        GratisError: data, model or folder are wrong, a library that the suite needs is missing, or
            another process works in the folder.
        Interrupted: the user stopped the run.
    """
    if recipe.harden is not None and ranks.world_size() > 1:
        raise GratisError("hardening uses one device: leave out --devices and launchers")
    folder = RunFolder(path)
    if folder.results() is None:
        # Before training, which may take hours.
        require_libraries(recipe.evaluate)
    # The folder has this recipe, which the user named.
    loggers = require(log)
    with folder.locked(), trusting_code(), following(path, loggers):
        if recipe.harden is None:
            fit_run(recipe, path, sets)
        else:
            fit_hardened(recipe, path, sets, start)
        finished = folder.results()
        if finished is not None and not still_holds(finished, folder, sets):
            finished = None
        ranks.of_first(finished)
        if finished is None:
            return measure_run(path, sets)
        logger.info(f"{path}: already measured")
        return finished


def train_on_other_rank(path: Path, sets: Path | None = None) -> None:
    """Train and measure on another rank than the first what that one does in the folder ``path``.

    ``sets`` are those of :func:`train`.
    """
    results: Results | None = None
    with trusting_code():
        if fit_on_other_rank(path) and ranks.of_first(results) is None:
            measure_run(path, sets)


def resume(
    path: Path,
    sets: Path | None = None,
    overrides: Sequence[str] = (),
    log: str | Sequence[str] = (),
) -> Results:
    """Resume the run in the folder ``path`` from its checkpoint.

    ``overrides`` are ``key=value``, of keys that may differ when a run is resumed.
    """
    folder = RunFolder(path)
    if not folder.recipe_file.is_file():
        raise file_error(
            path,
            "is not a run folder (it has no recipe.yaml)",
            "name a folder that 'gratis train' printed",
        )
    folder.refuse_untrusted_code()
    return train(with_overrides(folder.recipe(), overrides), path, sets, log=log)


def train_only(recipe: Recipe, path: Path) -> None:
    """Train ``recipe`` in the folder ``path`` without measuring it."""
    with RunFolder(path).locked(), trusting_code():
        fit_run(recipe, path)
