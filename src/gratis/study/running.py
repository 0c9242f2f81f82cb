"""Run a study: train and measure every variant with several seeds."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from gratis.attacks import frozen
from gratis.digests import digest
from gratis.evaluation import require_libraries
from gratis.json_files import read_json, write_json
from gratis.locks import locked
from gratis.recipe import Recipe
from gratis.regular_files import refuse_link
from gratis.report import header
from gratis.results import METRICS, Results
from gratis.run import make_sets, rows_of, run_path, train
from gratis.run.launch import own_device
from gratis.run.loading import load_run
from gratis.run.machine import commit, versions
from gratis.run.training import train_only
from gratis.settings import Settings, validate
from gratis.study.measurements import MeasuredRun, measurement
from gratis.study.outcome import StudyResults, VariantResults
from gratis.study.settings import Study
from gratis.study.variants import named, pretraining_of, recipes_of
from gratis.torch_state import fresh_torch_state, full_precision
from gratis.trusted_code import trusting_code
from gratis.validation_sets import load as load_sets
from gratis.validation_sets.manifest import MANIFEST

logger = logging.getLogger(__name__)


class _Kept(Settings):
    """What a measurement found, and the digest of what it was made with."""

    key: str
    values: dict[str, float]


def run_study(
    study: Study, profile: str, out: Path, seeds: int, overrides: Sequence[str], command: str
) -> Iterator[StudyResults]:
    """Train and measure every variant, and yield the results after each seed.

    Runs are in ``out/runs``, where studies of the same profile share them, and the perturbed sets
    in ``out/perturbed``. What is finished is not repeated, so that the same call resumes a study.
    """
    recipes = recipes_of(study, profile, overrides)
    for recipe in recipes.values():
        require_libraries(recipe.evaluate)
    baseline = named(rows_of(profile, (), overrides)[0])
    before = pretraining_of(study, profile, overrides)
    measured: dict[str, list[tuple[Results, dict[str, float]]]] = {name: [] for name in recipes}
    with locked(out):
        sets = make_sets(baseline, out)
        for seed in range(seeds):
            for name, recipe in recipes.items():
                logger.info(f"{study.name}: {study.title_of(name)} (seed {seed})")
                seeded = recipe.model_copy(update={"seed": seed})
                if before is not None and study.variants[name].pretrained:
                    seeded = _pretrained(seeded, before, out)
                measured[name].append(_measured(seeded, run_path(out, seeded), sets, study))
            yield _collect(study, profile, command, measured)


def _pretrained(recipe: Recipe, before: Recipe, out: Path) -> Recipe:
    """Return the recipe with the weights of ``before``, trained with the same seed."""
    before = before.model_copy(update={"seed": recipe.seed})
    path = run_path(out, before)
    logger.info(f"{before.title} (seed {before.seed}), to start from")
    train_only(before, path)
    start = {"pretrained": True, "weights": path.absolute()}
    return recipe.model_copy(update={"model": recipe.model.model_copy(update=start)})


def _measured(
    recipe: Recipe, path: Path, sets: Path, study: Study
) -> tuple[Results, dict[str, float]]:
    """Train and measure one run, and return its results and the values of the study."""
    results = train(recipe, path, sets)
    shares = {metric: getattr(results, metric) for metric in (*METRICS, "robust")}
    values = {metric: 100 * share for metric, share in shares.items() if share is not None}
    for name in study.measure:
        values |= _measure(name, recipe, path, sets)
    return results, values


def _measure(name: str, recipe: Recipe, path: Path, sets: Path) -> dict[str, float]:
    """Return what a measurement finds, or found when it was made before."""
    file = path / "measurements" / f"{name}.json"
    refuse_link(file.parent)
    key = digest([recipe.evaluate.model_dump_json(), (sets / MANIFEST).read_text("utf-8")])
    if file.exists():
        kept = validate(_Kept, read_json(file), f"{file} (delete it)")
        if kept.key == key:
            return kept.values
    logger.info(f"{path}: measuring {name}")
    with trusting_code():
        model, _, _, dataset = load_run(path)
    device = own_device()
    with fresh_torch_state(device), full_precision(device), frozen(model.to(device)):
        run = MeasuredRun(
            model=model,
            dataset=dataset,
            sets=load_sets(sets, dataset.validation),
            epsilon=recipe.evaluate.epsilon,
            seed=recipe.seed,
            batch_size=recipe.evaluate.batch_size,
            path=path,
        )
        values = measurement(name).measure(run)
    file.parent.mkdir(exist_ok=True)
    write_json(file, {"key": key, "values": values})
    return values


def _collect(
    study: Study,
    profile: str,
    command: str,
    measured: dict[str, list[tuple[Results, dict[str, float]]]],
) -> StudyResults:
    everything = [results for runs in measured.values() for results, _ in runs]
    return StudyResults(
        study=study.name,
        profile=profile,
        command=command,
        header=header(everything),
        seeds=len(next(iter(measured.values()))),
        variants={name: _variant(runs) for name, runs in measured.items()},
        commit=commit(),
        versions=versions(),
    )


def _variant(runs: Sequence[tuple[Results, dict[str, float]]]) -> VariantResults:
    first = runs[0][0]
    metrics = [m for m in runs[0][1] if all(m in values for _, values in runs)]
    return VariantResults(
        recipe=first.recipe,
        passes=first.passes,
        flops=first.flops,
        seconds=sum(results.seconds for results, _ in runs) / len(runs),
        values={m: tuple(values[m] for _, values in runs) for m in metrics},
    )
