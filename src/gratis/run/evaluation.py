"""Measure what a run trained, and make the perturbed validation sets from it."""

import functools
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from lightning_fabric import Fabric

from gratis.data import Dataset, load
from gratis.evaluation import EvaluateSettings, measure, require_libraries, rescore
from gratis.files import locked, write_json
from gratis.model import Classifier
from gratis.recipe import Recipe, with_evaluation
from gratis.results import Examples, Results, wilson
from gratis.results.measurement import Measurement
from gratis.run.build import build_model
from gratis.run.folder import RunFolder
from gratis.run.machine import commit, device_name, versions
from gratis.run.sample_images import sample_images
from gratis.training.checkpoint import Position, load_weights
from gratis.validation_sets import PerturbedSets, perturbed_sets

# The noise of the frozen sets is theirs alone: it must not follow a run's seed.
SETS_SEED = 0

# Rows share a data set: read it once.
load_once = functools.lru_cache(maxsize=2)(load)


def load_run(path: Path) -> tuple[Classifier, Position, Recipe, Dataset]:
    """Return the trained classifier of a run, how far it came, its recipe and its data.

    Raises:
        GratisError: ``path`` is no run folder, or its checkpoint is missing or another model's.
    """
    folder = RunFolder(path)
    recipe = folder.recipe()
    dataset = load_once(recipe.data)
    # The checkpoint holds every weight: do not fetch pretrained ones only to replace them.
    untrained = recipe.model.model_copy(update={"pretrained": False})
    model = build_model(recipe.model_copy(update={"model": untrained}), len(dataset.classes))
    position = load_weights(folder.checkpoint, model, recipe.identity(dataset))
    return model.eval(), position, recipe, dataset


def evaluate_run(path: Path, sets: Path | None = None, overrides: Sequence[str] = ()) -> Results:
    """Measure the run in the folder ``path`` and write its ``results.json``.

    ``sets`` holds the perturbed validation sets: without it those that the run was measured on
    before; failing these the geometric one is made in the run's folder, and the transfer metrics
    stay empty. ``overrides`` are ``evaluate.key=value``.

    Raises:
        GratisError: as :func:`load_run`, or the sets do not fit the data or were changed, or
            another process is at work in the folder.
    """
    RunFolder(path).recipe()  # Before a lock is put into a folder that is none of ours.
    with locked(path):
        return measure_run(path, sets, overrides)


def measure_run(path: Path, sets: Path | None = None, overrides: Sequence[str] = ()) -> Results:
    """Do what :func:`evaluate_run` does, in a folder that is locked already."""
    folder = RunFolder(path)
    model, position, recipe, dataset = load_run(path)
    recipe = with_evaluation(recipe, overrides)
    require_libraries(recipe.evaluate)
    sets = sets or folder.sets()
    # Opened before the folder is claimed: wrong sets must not be remembered.
    loaded = load_sets(folder.geometric, dataset, recipe.evaluate.epsilon, sets)
    folder.claim(recipe, sets)
    device = Fabric(accelerator="auto", devices=1).device
    model.to(device)
    measured = measure(
        model, dataset.validation, loaded, recipe.evaluate, recipe.seed, folder.evaluation
    )
    keep(folder, measured)
    samples = sample_images(model, dataset, loaded, recipe.evaluate, recipe.seed, measured.index)
    samples.save(folder.sample_images)
    results = _results(recipe, dataset, model, position, measured, device_name(device))
    results.write(folder.results_file)
    if sets is not None:
        folder.note_measured(sets)
    return results


def keep(folder: RunFolder, measured: Measurement) -> None:
    """Write into ``folder`` all that was found, apart from the results.

    Raises:
        GratisError: a file cannot be written.
    """
    measured.save(folder.correct)
    if measured.examples is not None:
        measured.examples.save(folder.examples)
    write_json(folder.evaluation / "seconds.json", measured.seconds)


def rescore_run(path: Path, file: Path) -> str:
    """Return in words how many adversarial examples in ``file`` the run in ``path`` gets right.

    Raises:
        GratisError: as :func:`load_run`, or the file holds other images' examples or worse.
    """
    examples = Examples.load(file)
    model, _, recipe, dataset = load_run(path)
    model.to(Fabric(accelerator="auto", devices=1).device)
    right = rescore(model, dataset.validation, examples, file, recipe.evaluate.batch_size)
    low, high = wilson(float(right.mean()), len(right))
    return (
        f"{file}: {right.sum()} of {len(right)} right, {100 * right.mean():.1f}% "
        f"(95% interval {100 * low:.1f} to {100 * high:.1f}); "
        f"all within {255 * examples.epsilon:.4g}/255 (L-infinity) of their images"
    )


def build_sets(baseline: Path, folder: Path) -> None:
    """Make the perturbed validation sets in ``folder`` from the run ``baseline``.

    Raises:
        GratisError: as :func:`load_run`, or the folder cannot be written.
    """
    model, _, recipe, dataset = load_run(baseline)
    model.to(Fabric(accelerator="auto", devices=1).device)
    perturbed_sets.build(
        folder, dataset.validation, dataset.mirrors, model, recipe.evaluate.epsilon, SETS_SEED
    )


def ensure_sets(baseline: Path, folder: Path) -> None:
    """Make the sets in ``folder`` from the run ``baseline``, unless these are its own already.

    Raises:
        GratisError: as :func:`build_sets`.
    """
    model, _, recipe, dataset = load_run(baseline)
    model.to(Fabric(accelerator="auto", devices=1).device)
    if not perturbed_sets.made_from(folder, model, recipe.evaluate.epsilon, dataset.validation):
        build_sets(baseline, folder)


def load_sets(
    geometric: Path, dataset: Dataset, epsilon: float, sets: Path | None
) -> PerturbedSets:
    """Return the perturbed sets in ``sets``, or else those in ``geometric``, made if need be.

    Raises:
        GratisError: the sets do not fit the data or were changed, or cannot be written.
    """
    if sets is not None:
        return perturbed_sets.load(sets, dataset.validation)
    if not geometric.exists():
        perturbed_sets.build(
            geometric, dataset.validation, dataset.mirrors, None, epsilon, SETS_SEED
        )
    return perturbed_sets.load(geometric, dataset.validation)


def _results(
    recipe: Recipe,
    dataset: Dataset,
    model: Classifier,
    position: Position,
    measured: Measurement,
    device: str,
) -> Results:
    return Results(
        recipe=recipe.name,
        title=recipe.title,
        seed=recipe.seed,
        baseline=recipe.baseline,
        reference=recipe.reference,
        paper=recipe.paper,
        **findings(measured, dataset, recipe.evaluate),
        backbone=_backbone(recipe),
        parameters=sum(p.numel() for p in model.parameters()),
        input_size=recipe.model.input_size or dataset.size,
        passes=position.passes,
        epochs=position.passes / position.images,
        seconds=position.seconds,
        device=device,
        commit=commit(),
        versions=versions(),
        resolved=recipe.model_dump(mode="json", exclude_none=True),
    )


def findings(measured: Measurement, dataset: Dataset, settings: EvaluateSettings) -> dict[str, Any]:
    """Return the fields of the results that say what was found, and on what data."""
    return {
        **measured.accuracies,
        "suite": settings.suite,
        "robust": measured.accuracy("robust"),
        "robust_l2": measured.accuracy("robust_l2"),
        "geometric_worst": measured.accuracy("geometric_worst"),
        "corruptions": _mean_corruption(measured),
        "tasks": measured.tasks,
        "checks": measured.checks,
        "n": measured.n,
        "classes": len(dataset.classes),
        "epsilon": settings.epsilon,
        "pgd_steps": settings.pgd_steps,
        "data": dataset.name,
        "train_images": len(dataset.train),
        "image_size": dataset.size,
    }


def _mean_corruption(measured: Measurement) -> float | None:
    """Return the mean accuracy over all kinds and severities of corruption."""
    found = [task.accuracy for task in measured.tasks if "severity" in task.settings]
    return fmean(found) if found else None


def _backbone(recipe: Recipe) -> str:
    """Return the backbone in words, with whatever makes it another than its name says."""
    model = recipe.model
    name = model.backbone + (f" {'-'.join(map(str, model.channels))}" if model.channels else "")
    origin = "pretrained" if model.pretrained else "from scratch"
    if model.freeze_backbone:
        origin = "pretrained, frozen" if model.pretrained else "random, frozen"
    return f"{name}, {origin}" + (", small stem" if model.stem == "small" else "")
