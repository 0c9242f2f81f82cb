"""Train and evaluate every row of a table, on the same perturbed sets."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gratis.errors import GratisError
from gratis.evaluation import require_libraries
from gratis.locks import locked
from gratis.loggers import require
from gratis.recipe import Recipe, choose_rows, is_file, resolve_rows
from gratis.regular_files import refuse_link
from gratis.results import Results
from gratis.results.measurement import Measurement
from gratis.run.folder import RunFolder
from gratis.run.training import train, train_only
from gratis.run.validation_sets import ensure_sets
from gratis.trusted_code import trusting_code

logger = logging.getLogger(__name__)

Correct: TypeAlias = Mapping[str, NDArray[np.bool_]]


def rows_of(
    profile: str, only: Sequence[str], overrides: Sequence[str]
) -> tuple[Recipe, list[Recipe]]:
    """Return a profile's seed-0 baseline, and its rows in the table's order, or ``only`` those.

    ``only`` has names of rows and paths of the user's own recipes. An override ``key=value,value``
    gives a row for each value.
    """
    own = list(dict.fromkeys(name for name in only if is_file(name)))
    rows = resolve_rows(profile, overrides, own)
    baselines = [row.model_copy(update={"seed": 0}) for row in rows if row.baseline]
    if len(baselines) != 1:
        raise GratisError(
            f"profile {profile}: needs one recipe with baseline: true, not {len(baselines)}"
        )
    return baselines[0], choose_rows(rows, only)


def reproduce(
    baseline: Recipe,
    rows: Sequence[Recipe],
    out: Path,
    seeds: int,
    log: str | Sequence[str] = (),
) -> list[Results]:
    """Train and evaluate every row with the seeds 0, 1, ...; finished runs are not repeated.

    The baseline of seed 0 comes first, because the sets of all rows and seeds attack it. Runs are
    in ``out/runs/<row>-seed<seed>``, the sets in ``out/perturbed``. Loggers
    named in ``log`` are told of every row.
    """
    results, loggers = [], require(log)
    for row in (baseline, *rows):
        if RunFolder(run_path(out, row)).results() is None:
            require_libraries(row.evaluate)
    with locked(out):
        sets = make_sets(baseline, out)
        for seed in range(seeds):
            for row in rows:
                logger.info(f"{row.title} (seed {seed})")
                seeded = row.model_copy(update={"seed": seed})
                path = run_path(out, seeded)
                results.append(train(seeded, path, sets, log=loggers))
    return results


def run_path(out: Path, recipe: Recipe) -> Path:
    """Return the folder of a recipe's run.

    Raises:
        GratisError: it or the folder of all runs is a symbolic link, through which other files
            would be written.
    """
    path = out / "runs" / f"{recipe.name}-seed{recipe.seed}"
    refuse_link(path.parent, path)
    return path


def correct_by_seed(recipe: Recipe, out: Path, seeds: int) -> dict[int, Correct]:
    """Return which images the runs of a recipe classify correctly, by seed and metric."""
    runs = {seed: recipe.model_copy(update={"seed": seed}) for seed in range(seeds)}
    return {
        seed: Measurement.load(RunFolder(run_path(out, run)).correct).correct
        for seed, run in runs.items()
    }


def make_sets(baseline: Recipe, out: Path) -> Path:
    """Train the baseline and make the sets from it, unless they exist; return their folder."""
    logger.info(f"{baseline.title} (seed {baseline.seed}), the baseline of the transfer sets")
    path, sets = run_path(out, baseline), out / "perturbed"
    refuse_link(sets)
    train_only(baseline, path)
    with trusting_code():
        ensure_sets(path, sets)
    return sets
