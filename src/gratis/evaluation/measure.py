"""Measure a model with a suite."""

import dataclasses
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gratis.attacks import channels_last, frozen
from gratis.cpu import folded
from gratis.data.dataset import Split
from gratis.errors import GratisError
from gratis.evaluation.attack_disagreement import attack_disagreement
from gratis.evaluation.cache import CacheFolder, EvaluationCache
from gratis.evaluation.cascade import Cascade, halved
from gratis.evaluation.contiguous import ContiguousInputs
from gratis.evaluation.evaluated_model import EvaluatedModel, FixedImages, device_of
from gratis.evaluation.examples import collect
from gratis.evaluation.sanity_checks import IMAGES, run_checks
from gratis.evaluation.suites import CHECKED, EvaluateSettings, require_libraries, tasks_of
from gratis.locks import locked
from gratis.progress import bar
from gratis.ranks import is_first
from gratis.results import Check
from gratis.results.measurement import Measurement
from gratis.torch_state import fresh_torch_state, full_precision
from gratis.validation_sets.perturbed_sets import PerturbedSets

# The number of images on which the cheaper copy of a model must agree with it.
FOLDING_CHECKED = 8


def measure(
    model: nn.Module,
    split: Split,
    sets: PerturbedSets,
    settings: EvaluateSettings,
    seed: int,
    folder: CacheFolder | Path | None = None,
) -> Measurement:
    """Return what a suite measures of a model, in float32, on the device of its parameters.

    An image that is misclassified without an attack counts as fooled by every attack. The outcome
    on an adversarial example is that of plain float32, and only examples within epsilon and [0, 1]
    count. The suites in ``CHECKED`` end with the sanity checks. The others run only the checks that
    need no more attacks, and report those that fail.

    The model, the global random generators and the caller's autocast, inference mode and default
    dtype are afterwards as they were, and do not change the figures.

    Args:
        model: maps images (n, 3, height, width) in [0, 1] to logits, or to an object with
            ``logits``.
        split: the validation split.
        sets: its perturbed sets; metrics of a set that is absent are left out.
        settings: the suite, its epsilons and the batch size.
        seed: the seed of everything random.
        folder: where to store the outcomes, batch by batch: the same call continues from there,
            and repeats nothing that is finished.

    Raises:
        GratisError: the sets belong to another split or were attacked with another epsilon; a
            library of the suite is missing; ``folder`` is damaged, cannot be written, or is in use
            by another process; the device runs out of memory with a single image.
    """
    require_libraries(settings)
    _refuse_mismatch(split, sets, settings)
    evaluated = EvaluatedModel(model, split, _fixed_sets(split, sets), seed, settings.examples)
    if isinstance(folder, Path):
        folder = CacheFolder(folder)
    with ExitStack() as stack:
        if folder is not None and is_first():
            stack.enter_context(locked(folder.path))
        for context in (fresh_torch_state(device_of(model)), frozen(model)):
            stack.enter_context(context)
        if not isinstance(model, ContiguousInputs):
            stack.enter_context(channels_last(model))
        return _measure(evaluated, settings, folder)


def _measure(
    evaluated: EvaluatedModel, settings: EvaluateSettings, folder: CacheFolder | None
) -> Measurement:
    index = evenly_spaced(len(evaluated.split), settings.images)
    cache = EvaluationCache(folder, evaluated)
    attacked = evaluated
    if settings.suite in CHECKED:
        # Not in the suites of the published tables, whose figures must not change in any digit.
        copied = _with_folded_batch_norm(evaluated, index, settings.batch_size)
        attacked = dataclasses.replace(evaluated, attack_copy=copied)
    tasks = [task for task in tasks_of(settings) if task.applies_to(attacked)]
    with bar("evaluate", len(index) * sum(task.cost for task in tasks)) as progress_bar:
        cascade = Cascade(attacked, index, settings.batch_size, cache, progress_bar)
        for task in tasks:
            cascade.run(task)
    examples = None
    if settings.examples is not None:
        examples = collect(evaluated, index, cascade.examples, settings.epsilon)
    checks = attack_disagreement(cascade.correct, cascade.included)
    if settings.suite in CHECKED:
        # On the model itself, since the checks are about what it does.
        checks = (*_checks(evaluated, index, settings, cache), *checks)
    else:
        checks = tuple(check for check in checks if not check.passed)
    return Measurement(
        index,
        cascade.correct | cascade.worst_cases(),
        tuple(cascade.results),
        cascade.seconds,
        examples,
        checks,
    )


def _checks(
    evaluated: EvaluatedModel,
    index: NDArray[np.int64],
    settings: EvaluateSettings,
    cache: EvaluationCache,
) -> tuple[Check, ...]:
    few = index[evenly_spaced(len(index), IMAGES)]

    def compute() -> tuple[Check, ...]:
        size = settings.batch_size
        while True:
            try:
                return run_checks(evaluated, few, settings.epsilon, size)
            except torch.OutOfMemoryError:
                size = halved(size)

    return cache.checks(few, settings.epsilon, compute)


def _with_folded_batch_norm(
    evaluated: EvaluatedModel, index: NDArray[np.int64], batch_size: int
) -> nn.Module:
    few = index[evenly_spaced(len(index), min(FOLDING_CHECKED, batch_size))]
    images = evaluated.batch_at(few).images
    with torch.no_grad(), full_precision(evaluated.device):
        return folded(evaluated.model, images)


def evenly_spaced(n: int, wanted: int | None) -> NDArray[np.int64]:
    """Return ``wanted`` indices below ``n``, in order and evenly spaced; all if ``None``.

    Of a split that is sorted by class they include every class.
    """
    count = n if wanted is None else min(n, wanted)
    return np.arange(count, dtype=np.int64) * n // count


def _refuse_mismatch(split: Split, sets: PerturbedSets, settings: EvaluateSettings) -> None:
    if len(split) != len(sets.labels):
        raise GratisError(
            f"the perturbed sets have {len(sets.labels)} images and the validation split "
            f"{len(split)}; build the sets again: gratis perturb"
        )
    if sets.transfer is not None and sets.manifest.epsilon != settings.epsilon:
        raise GratisError(
            f"epsilon is {settings.epsilon:g}, but the perturbed sets were made with "
            f"{sets.manifest.epsilon:g}; use the same, or build the sets again: gratis perturb"
        )


def _fixed_sets(split: Split, sets: PerturbedSets) -> dict[str, FixedImages]:
    images = {
        "geometric": sets.geometric,
        "fgsm_transfer": sets.fgsm_transfer,
        "transfer": sets.transfer,
    }
    files = dict(sets.manifest.files)
    fixed_sets = {
        name: FixedImages(array, files[name])  # type: ignore[index]
        for name, array in images.items()
        if array is not None
    }
    # The cache has the digest of the split anyway.
    return {"clean": FixedImages(split.images, "")} | fixed_sets
