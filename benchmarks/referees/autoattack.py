"""AutoAttack by our cascade and by pyautoattack, each time in a process of its own."""

import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from benchmarks.referees.material import (
    Asked,
    Material,
    accuracy,
    folded_of,
    given,
    material_of,
    prepare,
)
from benchmarks.referees.speed import process
from benchmarks.tables import spread
from gratis.cli.allocator import keep_memory
from gratis.data import Split
from gratis.evaluation.autoattack import PlainGradients
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.suites import EvaluateSettings, tasks_of

COLUMNS = ["model", "tool", "accuracy in percent", "seconds", "times ours"]


def autoattack(asked: Asked, repeats: int, states: Sequence[str]) -> Iterator[str]:
    """Return how our verdict and pyautoattack's compare, in accuracy and in seconds.

    Tools take turns, pyautoattack in each of the ``states`` of the model; every repeat has
    another seed.
    """
    tools = {f"pyautoattack, {state}": STATES[state] for state in states} | {OURS: ours}
    found: dict[str, list[tuple[float, float]]] = {tool: [] for tool in tools}
    for seed in range(repeats):
        for tool, run in tools.items():
            with process() as alone:
                found[tool].append(alone.submit(run, asked, seed).result())
            robust, took = found[tool][-1]
            # Hours may pass before the table has a line.
            told = f"{asked.run.name}, {tool}, seed {seed}: {robust:.2f}%, {took:.1f} s"
            print(told, file=sys.stderr, flush=True)
    own = [seconds for _, seconds in found[OURS]]
    for tool, runs in found.items():
        accuracies, seconds = (list(values) for values in zip(*runs, strict=True))
        times = [one / mine for one, mine in zip(seconds, own, strict=True)]
        cells = f"{spread(accuracies)} | {spread(seconds, digits=1)} | {spread(times)}"
        yield f"| {asked.run.name} | {tool} | {cells} |"


OURS = "ours, full cascade"


def plainly(asked: Asked, seed: int) -> tuple[float, float]:
    """Return pyautoattack's verdict on the model as it is loaded, in percent, and its seconds."""
    it = given(material_of(asked))
    return _official(it, it.model, seed)


def prepared(asked: Asked, seed: int) -> tuple[float, float]:
    """Return pyautoattack's verdict on our prepared model, in percent, and its seconds."""
    it = prepare(material_of(asked))
    return _official(it, PlainGradients(it.model), seed)


STATES = {"given": plainly, "prepared": prepared}


def _official(it: Material, model: torch.nn.Module, seed: int) -> tuple[float, float]:
    from pyautoattack import AutoAttack

    began = time.perf_counter()
    official = AutoAttack(model, eps=it.epsilon, seed=seed)
    targets = min(9, it.model(it.images[:1]).shape[1] - 1)
    official.apgd_targeted.n_target_classes = official.fab.n_target_classes = targets
    found, _ = official.run_standard_evaluation(it.images.contiguous(), it.labels)
    seconds = time.perf_counter() - began
    return accuracy(it, found), seconds


def ours(asked: Asked, seed: int) -> tuple[float, float]:
    """Return our verdict, in percent, and its seconds.

    It is by all L-infinity attacks of the full suite, AutoAttack last. Each meets only what
    stands, while ``measure`` holds FGSM, BIM and PGD on all images.
    """
    keep_memory()  # as ``measure`` does
    it = prepare(material_of(asked))
    pixels = (it.images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    split = Split(np.ascontiguousarray(pixels), it.labels.numpy())
    began = time.perf_counter()
    evaluated = EvaluatedModel(it.model, split, {}, seed, attack_model=folded_of(it).model)
    standing = evaluated.right(it.images, it.labels).numpy()
    for task in tasks_of(EvaluateSettings(suite="full", epsilon=it.epsilon)):
        if task.threat == "robust" and standing.any() and task.fits(evaluated):
            rows = np.flatnonzero(standing)
            standing[rows] = task.judge(evaluated, rows).correct
    return 100 * float(standing.mean()), time.perf_counter() - began
