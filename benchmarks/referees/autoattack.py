"""AutoAttack by our full suite and by pyautoattack, each run in a new process."""

import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from benchmarks.referees.speed import process
from benchmarks.referees.workload import (
    AttackSetup,
    Workload,
    accuracy,
    as_loaded,
    load_workload,
    prepare,
    with_folding,
)
from benchmarks.tables import spread
from gratis.cli.allocator import keep_memory
from gratis.data import Split
from gratis.evaluation.autoattack import PlainGradients
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.suites import EvaluateSettings, tasks_of

COLUMNS = ["model", "tool", "accuracy in percent", "seconds", "times ours"]


def autoattack(setup: AttackSetup, repeats: int, states: Sequence[str]) -> Iterator[str]:
    """Yield the table's lines: accuracy and seconds of our result and of pyautoattack's.

    The tools run in turn, pyautoattack in each of the ``states`` of the model. Every repeat has
    another seed.
    """
    tools = {f"pyautoattack, {state}": STATES[state] for state in states} | {OURS: ours}
    found: dict[str, list[tuple[float, float]]] = {tool: [] for tool in tools}
    for seed in range(repeats):
        for tool, run in tools.items():
            with process() as pool:
                found[tool].append(pool.submit(run, setup, seed).result())
            robust, seconds = found[tool][-1]
            # Progress, because the table can take hours.
            line = f"{setup.run.name}, {tool}, seed {seed}: {robust:.2f}%, {seconds:.1f} s"
            print(line, file=sys.stderr, flush=True)
    ours_seconds = [seconds for _, seconds in found[OURS]]
    for tool, runs in found.items():
        accuracies, times = (list(values) for values in zip(*runs, strict=True))
        ratios = [one / mine for one, mine in zip(times, ours_seconds, strict=True)]
        cells = f"{spread(accuracies)} | {spread(times, digits=1)} | {spread(ratios)}"
        yield f"| {setup.run.name} | {tool} | {cells} |"


OURS = "ours, full suite"


def given_model(setup: AttackSetup, seed: int) -> tuple[float, float]:
    """Return pyautoattack's accuracy in percent on the model as loaded, and its seconds."""
    workload = as_loaded(load_workload(setup))
    return _official(workload, workload.model, seed)


def prepared_model(setup: AttackSetup, seed: int) -> tuple[float, float]:
    """Return pyautoattack's accuracy in percent on our prepared model, and its seconds."""
    workload = prepare(load_workload(setup))
    return _official(workload, PlainGradients(workload.model), seed)


STATES = {"given": given_model, "prepared": prepared_model}


def _official(workload: Workload, model: torch.nn.Module, seed: int) -> tuple[float, float]:
    from pyautoattack import AutoAttack

    began = time.perf_counter()
    official = AutoAttack(model, eps=workload.epsilon, seed=seed)
    targets = min(9, workload.model(workload.images[:1]).shape[1] - 1)
    official.apgd_targeted.n_target_classes = official.fab.n_target_classes = targets
    found, _ = official.run_standard_evaluation(workload.images.contiguous(), workload.labels)
    seconds = time.perf_counter() - began
    return accuracy(workload, found), seconds


def ours(setup: AttackSetup, seed: int) -> tuple[float, float]:
    """Return our accuracy in percent under the full suite, and its seconds.

    Only its L-infinity attacks run, AutoAttack last, each on the survivors of those before it. An
    evaluation instead runs FGSM, BIM and PGD on all images.
    """
    keep_memory()  # as the command line does
    workload = prepare(load_workload(setup))
    pixels = (workload.images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    split = Split(np.ascontiguousarray(pixels), workload.labels.numpy())
    began = time.perf_counter()
    evaluated = EvaluatedModel(
        workload.model, split, {}, seed, attack_copy=with_folding(workload).model
    )
    survives = evaluated.is_correct(workload.images, workload.labels).numpy()
    for task in tasks_of(EvaluateSettings(suite="full", epsilon=workload.epsilon)):
        if task.threat == "robust" and survives.any() and task.applies_to(evaluated):
            rows = np.flatnonzero(survives)
            survives[rows] = task.run(evaluated, rows).correct
    return 100 * float(survives.mean()), time.perf_counter() - began
