"""Measure a model: its tasks one after the other, sparing whatever has fallen."""

import logging
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gratis.attacks import frozen, full_precision
from gratis.cpu import folded
from gratis.data.dataset import Split
from gratis.errors import GratisError
from gratis.evaluation.cache import Evaluation, Parts
from gratis.evaluation.evaluated_model import EvaluatedModel, Pictures
from gratis.evaluation.examples import collect
from gratis.evaluation.sanity_checks import IMAGES
from gratis.evaluation.suites import CHECKED, EvaluateSettings, require_libraries, tasks_of
from gratis.evaluation.tasks import EvalTask, Threat
from gratis.files import locked
from gratis.progress import Bar, bar
from gratis.results import Check, TaskResult
from gratis.results.measurement import Measurement
from gratis.validation_sets.perturbed_sets import PerturbedSets

logger = logging.getLogger(__name__)

Correct = NDArray[np.bool_]

# Images that must show a model's cheaper copy to be the same.
FOLDED = 8


def measure(
    model: nn.Module,
    split: Split,
    sets: PerturbedSets,
    settings: EvaluateSettings,
    seed: int,
    folder: Path | None = None,
) -> Measurement:
    """Put a model through the suite that ``settings`` name, in float32, where its parameters are.

    An image that is misclassified without an attack counts as fooled by every attack. Every
    verdict on an adversarial example is that of plain float32, after its budget and range were
    looked at. Suites beyond ``table`` end with the sanity checks.

    Args:
        model: maps images (n, 3, height, width) in [0, 1] to logits, or to an object with
            ``logits``. Its modes and parameters are left as they were.
        split: the validation split.
        sets: its perturbed sets; metrics of a set that is absent are left out.
        settings: suite, budgets and batch size.
        seed: the seed of everything random.
        folder: where to keep, batch by batch, what is found: the same call goes on from
            there, and repeats nothing that is finished.

    Raises:
        GratisError: the sets belong to another split or were attacked with another epsilon; the
            suite needs a library that is not there; ``folder`` is damaged, cannot be written,
            or another process is at work in it.
    """
    require_libraries(settings)
    _refuse_mismatch(split, sets, settings)
    model.to(memory_format=torch.channels_last)
    evaluated = EvaluatedModel(model, split, _fixed_sets(split, sets), seed, settings.examples)
    index = evenly_spaced(len(split), settings.images)
    alone = nullcontext() if folder is None else locked(folder)
    with alone, frozen(model):
        if settings.suite in CHECKED:
            # Not in the suites of the published tables, whose figures stay to the last digit.
            evaluated = replace(
                evaluated, attack_model=_folded(evaluated, index, settings.batch_size)
            )
        tasks = [task for task in tasks_of(settings) if task.fits(evaluated)]
        total = len(index) * sum(task.cost for task in tasks)
        with bar("evaluate", total) as shown:
            cascade = _Cascade(evaluated, index, settings.batch_size, folder, shown)
            for task in tasks:
                cascade.hold(task)
        return cascade.measurement(settings)


def _folded(evaluated: EvaluatedModel, index: NDArray[np.int64], batch_size: int) -> nn.Module:
    few = index[evenly_spaced(len(index), min(FOLDED, batch_size))]
    images = evaluated.batch(few).images
    with torch.no_grad(), full_precision(evaluated.device):
        return folded(evaluated.model, images)


def evenly_spaced(n: int, wanted: int | None) -> NDArray[np.int64]:
    """Return ``wanted`` indices below ``n``, in order and evenly spaced; all if ``None``.

    A split that is sorted by class keeps its classes that way.
    """
    count = n if wanted is None else min(n, wanted)
    return np.arange(count, dtype=np.int64) * n // count


def _refuse_mismatch(split: Split, sets: PerturbedSets, settings: EvaluateSettings) -> None:
    if len(split) != len(sets.labels):
        raise GratisError(
            f"the perturbed sets have {len(sets.labels)} images and the validation split "
            f"{len(split)}; build the sets again"
        )
    if sets.transfer is not None and sets.manifest.epsilon != settings.epsilon:
        raise GratisError(
            f"epsilon is {settings.epsilon:g}, but the perturbed sets were attacked with "
            f"{sets.manifest.epsilon:g}; use that, or build the sets again"
        )


def _fixed_sets(split: Split, sets: PerturbedSets) -> dict[str, Pictures]:
    images = {
        "geometric": sets.geometric,
        "fgsm_transfer": sets.fgsm_transfer,
        "transfer": sets.transfer,
    }
    files = dict(sets.manifest.files)
    fixed_sets = {
        name: Pictures(array, files[name])  # type: ignore[index]
        for name, array in images.items()
        if array is not None
    }
    # The split has a hash of its own in whatever is kept.
    return {"clean": Pictures(split.images, "")} | fixed_sets


class _Cascade:
    """The state between tasks: what has been found, and who still stands against which threat."""

    def __init__(
        self,
        evaluated: EvaluatedModel,
        index: NDArray[np.int64],
        batch_size: int,
        folder: Path | None,
        shown: Bar,
    ) -> None:
        self._evaluated, self._index, self._batch_size = evaluated, index, batch_size
        self._kept = Evaluation(folder, evaluated)
        self._shown = shown
        self._correct: dict[str, Correct] = {}
        self._standing: dict[Threat, Correct] = {}
        self._cascades: set[Threat] = set()
        self._tasks: list[TaskResult] = []
        self._seconds: dict[str, float] = {}
        self._examples: dict[int, NDArray[np.float32] | NDArray[np.uint8]] = {}

    def hold(self, task: EvalTask) -> None:
        """Put on task whoever must face it."""
        faced = self._faced(task)
        parts = self._kept.parts(task)
        self._finish(task, parts, self._index[faced])
        correct = faced & parts.correct[self._index]
        self._correct[task.name] = correct
        self._seconds[task.name] = parts.seconds
        if task.threat:
            standing = self._standing.get(task.threat, self._correct["clean"])
            if task.threat == "robust":
                fallen = self._index[standing & ~correct].tolist()
                self._examples |= {i: parts.examples[i] for i in fallen if i in parts.examples}
            self._standing[task.threat] = standing & correct
            if not task.standalone:
                self._cascades.add(task.threat)
        self._tasks.append(_result(task, correct, faced))

    def _faced(self, task: EvalTask) -> Correct:
        if not task.threat:
            return np.ones(len(self._index), dtype=np.bool_)
        clean = self._correct["clean"]
        return clean if task.standalone else self._standing.get(task.threat, clean)

    def _finish(self, task: EvalTask, parts: Parts, faced: NDArray[np.int64]) -> None:
        todo = faced[~parts.known[faced]]
        self._shown.advance(task.cost * (len(self._index) - len(todo)), self._note(task, 0, 0))
        done, stood = len(faced) - len(todo), int(parts.correct[faced].sum())
        # Anew for every task, so that one that goes on later has the same batches.
        size = self._batch_size
        while len(todo):
            batch = todo[:size]
            began = time.perf_counter()
            try:
                verdict = task.judge(self._evaluated, batch)
            except torch.OutOfMemoryError:
                size = _halved(size)
                continue
            parts.add(batch, verdict, time.perf_counter() - began)
            todo = todo[len(batch) :]
            done, stood = done + len(batch), stood + int(verdict.correct.sum())
            self._shown.advance(task.cost * len(batch), self._note(task, stood, done))

    def _note(self, task: EvalTask, stood: int, done: int) -> str:
        return f"{task.name}: {stood} of {done} stand" if done else task.name

    def measurement(self, settings: EvaluateSettings) -> Measurement:
        """Return everything that was found, with the worst case of every cascade."""
        worst = {threat: self._standing[threat] for threat in WORST if threat in self._cascades}
        examples = None
        if settings.examples is not None:
            examples = collect(self._evaluated, self._index, self._examples, settings.epsilon)
        return Measurement(
            self._index,
            self._correct | worst,
            tuple(self._tasks),
            self._seconds,
            examples,
            self._checks(settings.epsilon) if settings.suite in CHECKED else (),
        )

    def _checks(self, epsilon: float) -> tuple[Check, ...]:
        few = self._index[evenly_spaced(len(self._index), IMAGES)]
        size = self._batch_size
        while True:
            try:
                return self._kept.checks(few, epsilon, size)
            except torch.OutOfMemoryError:
                size = _halved(size)


def _halved(size: int) -> int:
    """Return the batch size to go on with where the device's memory did not do for ``size``."""
    if size == 1:
        raise GratisError("the device's memory is too small for the attack on a single image")
    logger.info(f"out of memory with {size} images at a time: going on with {size // 2}")
    return size // 2


# The threats whose worst case is a metric of its own name.
WORST: tuple[Threat, ...] = ("robust", "robust_l2")


def _result(task: EvalTask, correct: Correct, faced: Correct) -> TaskResult:
    return TaskResult(
        name=task.name,
        accuracy=float(correct.mean()),
        threat=task.threat,
        standalone=task.standalone,
        images=int(np.count_nonzero(faced)),
        settings=task.model_dump(mode="json", exclude={"name", "threat", "standalone"}),
    )
