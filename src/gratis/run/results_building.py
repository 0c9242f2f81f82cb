"""From a measurement to ``results.json``."""

from statistics import fmean
from typing import Any

import torch
from torch import nn

from gratis.data import Dataset
from gratis.digests import digest
from gratis.evaluation import EvaluateSettings
from gratis.evaluation.evaluated_model import device_of
from gratis.json_files import write_json
from gratis.model import Classifier
from gratis.recipe import Recipe
from gratis.results import (
    Before,
    Measurement,
    Results,
    WeightsFile,
    accuracy_curve,
    expected_accuracy,
)
from gratis.run.evaluation_plan import EvaluationPlan
from gratis.run.flops import training_flops
from gratis.run.folder import RunFolder
from gratis.run.machine import commit, device_name, versions
from gratis.training.position import Position
from gratis.validation_sets.manifest import weights_hash


def save_measurement(folder: RunFolder, measured: Measurement) -> None:
    """Write everything that was measured into ``folder``, apart from the results."""
    measured.save(folder.correct)
    if measured.examples is not None:
        measured.examples.save(folder.examples)
    write_json(folder.evaluation / "seconds.json", measured.seconds)


def run_results(
    recipe: Recipe,
    dataset: Dataset,
    model: Classifier,
    position: Position,
    measured: Measurement,
    start: WeightsFile | None,
) -> Results:
    """Return the results of a run, whose training began at the weights in ``start``."""
    return Results(
        recipe=recipe.name,
        title=recipe.title,
        seed=recipe.seed,
        baseline=recipe.baseline,
        reference=recipe.reference,
        paper=recipe.paper,
        backbone=_backbone(recipe),
        start=start,
        input_size=model.input_size or dataset.size,
        passes=position.passes,
        flops=training_flops(recipe, dataset.size, len(dataset.classes), position.passes),
        epochs=position.passes / position.images,
        seconds=position.seconds,
        resolved=recipe.model_dump(mode="json", exclude_none=True),
        **_common(measured, dataset, recipe.evaluate, model, device_of(model)),
    )


def with_natural(results: Results, natural: Results | None) -> Results:
    """Return the results of a hardened run, with those of its natural model and its costs."""
    if natural is None:
        return results
    before = Before(**{metric: getattr(natural, metric) for metric in Before.model_fields})
    costs = {
        cost: getattr(results, cost) + getattr(natural, cost)
        for cost in ("passes", "epochs", "seconds")
    }
    flops = [run.flops for run in (results, natural) if run.flops is not None]
    return results.model_copy(update={"before": before, **costs, "flops": sum(flops) or None})


def external_results(
    plan: EvaluationPlan, model: nn.Module, measured: Measurement, device: torch.device
) -> Results:
    """Return the results of a model that gratis did not train."""
    return Results(
        recipe=plan.name,
        title=plan.name,
        seed=plan.seed,
        backbone=type(model).__name__,
        weights=plan.weights,
        input_size=plan.dataset.size,
        passes=0,
        epochs=0,
        seconds=0,
        resolved={
            "name": plan.name,
            "data": plan.dataset.name,
            "fingerprint": plan.dataset.fingerprint,
            # An ONNX file is in the text of its module, which has no parameters.
            "weights": digest([weights_hash(model), str(model)]),
            "seed": plan.seed,
            "evaluate": plan.settings.model_dump(mode="json"),
        },
        **_common(measured, plan.dataset, plan.settings, model, device),
    )


def _common(
    measured: Measurement,
    dataset: Dataset,
    settings: EvaluateSettings,
    model: nn.Module,
    device: torch.device,
) -> dict[str, Any]:
    return {
        **measured.accuracies,
        "suite": settings.suite,
        "robust": measured.accuracy("robust"),
        "robust_l2": measured.accuracy("robust_l2"),
        "geometric_worst": measured.accuracy("geometric_worst"),
        "corruptions": _mean_corruption(measured),
        "expected": _expected(measured, settings.epsilon),
        "tasks": measured.tasks,
        "checks": measured.checks,
        "n": measured.n,
        "classes": len(dataset.classes),
        "epsilon": settings.epsilon,
        "pgd_steps": settings.pgd_steps,
        "data": dataset.name,
        "train_images": len(dataset.train),
        "image_size": dataset.size,
        "parameters": sum(p.numel() for p in model.parameters()),
        "device": device_name(device),
        "commit": commit(),
        "versions": versions(),
    }


def _mean_corruption(measured: Measurement) -> float | None:
    """Return the mean accuracy over all kinds and severities of corruption."""
    found = [task.accuracy for task in measured.tasks if "severity" in task.settings]
    return fmean(found) if found else None


def _expected(measured: Measurement, epsilon: float) -> float | None:
    """Return the mean accuracy over all epsilons up to that of the evaluation."""
    clean = measured.accuracy("clean")
    assert clean is not None
    return expected_accuracy(accuracy_curve(clean, measured.tasks), epsilon)


def _backbone(recipe: Recipe) -> str:
    """Return the backbone as text, with every setting that changes it."""
    model = recipe.model
    name = model.backbone + (f" {'-'.join(map(str, model.channels))}" if model.channels else "")
    origin = "pretrained" if model.pretrained else "from scratch"
    if recipe.starts_from is not None:
        return f"{name}, {'fine-tuned' if recipe.harden is None else 'hardened'}"
    if model.freeze_backbone:
        origin = "pretrained, frozen" if model.pretrained else "random, frozen"
    return f"{name}, {origin}" + (", small stem" if model.stem == "small" else "")
