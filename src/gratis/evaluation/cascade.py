"""The tasks of a suite one after the other, where later attacks skip the images already fooled.

On several devices each rank takes every so many batches, the very ones of a single process, and all
know all outcomes.
"""

import logging
import time

import numpy as np
import torch
from numpy.typing import NDArray

from gratis import ranks
from gratis.errors import GratisError
from gratis.evaluation.cache import EvaluationCache, TaskCache
from gratis.evaluation.evaluated_model import EvaluatedModel, Outcome
from gratis.evaluation.tasks import EvalTask, Threat
from gratis.progress import Bar
from gratis.results import TaskResult

logger = logging.getLogger(__name__)

Flags = NDArray[np.bool_]

# The threats whose worst case is a metric of the same name.
_WORST_CASES: tuple[Threat, ...] = ("robust", "robust_l2")


class Cascade:
    """Runs tasks, and collects which images survive each.

    Attributes:
        correct: (n,) by task, whether the model classifies each image correctly.
        included: (n,) by task, which images it ran on; the survivors, in a cascade.
        results: the result of each task, in the order in which they ran.
        seconds: how long each task took, over all attempts.
        examples: the stored example of every image that fools the model within the threat
            ``robust``, by its index in the split.
    """

    def __init__(
        self,
        evaluated: EvaluatedModel,
        index: NDArray[np.int64],
        batch_size: int,
        cache: EvaluationCache,
        progress_bar: Bar,
    ) -> None:
        """Prepare to run tasks on the images at ``index``; nothing is measured yet."""
        self._evaluated, self._index, self._batch_size = evaluated, index, batch_size
        self._cache, self._bar = cache, progress_bar
        self._survivors: dict[Threat, Flags] = {}
        self._cascaded: set[Threat] = set()
        self.correct: dict[str, Flags] = {}
        self.included: dict[str, Flags] = {}
        self.results: list[TaskResult] = []
        self.seconds: dict[str, float] = {}
        self.examples: dict[int, NDArray[np.float32] | NDArray[np.uint8]] = {}

    def run(self, task: EvalTask) -> None:
        """Run a task on the images that it does not skip; ``clean`` must be the first."""
        included = self._included(task)
        cache = self._cache.of_task(task)
        self._complete(task, cache, self._index[included])
        correct = included & cache.correct[self._index]
        self.correct[task.name], self.included[task.name] = correct, included
        self.seconds[task.name] = cache.seconds
        if task.threat:
            survivors = self._survivors.get(task.threat, self.correct["clean"])
            if task.threat == "robust":
                fooled = self._index[survivors & ~correct].tolist()
                self.examples |= {i: cache.examples[i] for i in fooled if i in cache.examples}
            self._survivors[task.threat] = survivors & correct
            if not task.standalone:
                self._cascaded.add(task.threat)
        self.results.append(_result(task, correct, included))
        self._bar.line(f"{task.name} {correct.mean():.1%}")

    def worst_cases(self) -> dict[str, Flags]:
        """Return, for every threat with a cascade, which images survive all of its tasks, (n,)."""
        return {t: self._survivors[t] for t in _WORST_CASES if t in self._cascaded}

    def _included(self, task: EvalTask) -> Flags:
        if not task.threat:
            return np.ones(len(self._index), dtype=np.bool_)
        clean = self.correct["clean"]
        return clean if task.standalone else self._survivors.get(task.threat, clean)

    def _complete(self, task: EvalTask, cache: TaskCache, included: NDArray[np.int64]) -> None:
        """Run the task on the images at ``included`` whose outcome is not in the cache."""
        remaining = included[~cache.known[included]]
        done = len(included) - len(remaining)
        survive = int(cache.correct[included].sum())
        skipped = len(self._index) - len(remaining)
        self._bar.advance(task.cost * skipped, _note(task, 0, 0))
        # Each task starts with the full size, so that a continued one has the same batches.
        size = self._batch_size
        while len(remaining):
            starts = range(0, len(remaining), size)[: ranks.world_size()]
            batches = [remaining[start : start + size] for start in starts]
            began = time.perf_counter()
            outcomes = self._outcomes(task, batches)
            if outcomes is None:
                size = halved(size)
                continue
            seconds = (time.perf_counter() - began) / len(batches)
            for batch, outcome in zip(batches, outcomes, strict=True):
                cache.add(batch, outcome, seconds)
                remaining = remaining[len(batch) :]
                done, survive = done + len(batch), survive + int(outcome.correct.sum())
                self._bar.advance(task.cost * len(batch), _note(task, survive, done))

    def _outcomes(self, task: EvalTask, batches: list[NDArray[np.int64]]) -> list[Outcome] | None:
        """Return the outcomes of a batch for each rank, or ``None`` if one ran out of memory."""
        found, full = None, False
        if ranks.rank() < len(batches):
            try:
                found = task.run(self._evaluated, batches[ranks.rank()])
            except torch.OutOfMemoryError:
                full = True
        if ranks.any_rank(full):
            return None
        return [outcome for outcome in ranks.gather_values(found) if outcome is not None]


def halved(size: int) -> int:
    """Return the batch size to continue with after the device ran out of memory at ``size``."""
    if size == 1:
        raise GratisError(
            "out of memory with a single image; use a device with more memory, or a smaller model"
        )
    logger.info(f"out of memory with {size} images at a time: continuing with {size // 2}")
    return size // 2


def _note(task: EvalTask, survive: int, done: int) -> str:
    return f"{task.name}: {survive} of {done} survive" if done else task.name


def _result(task: EvalTask, correct: Flags, included: Flags) -> TaskResult:
    return TaskResult(
        name=task.name,
        accuracy=float(correct.mean()),
        threat=task.threat,
        standalone=task.standalone,
        images=int(np.count_nonzero(included)),
        settings=task.model_dump(mode="json", exclude={"name", "threat", "standalone"}),
    )
