"""Accuracy against epsilon on any labelled images, without perturbed sets."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from gratis.attacks import AttackSettings, channels_last, frozen
from gratis.cpu import folded
from gratis.data.dataset import Split
from gratis.evaluation.cache import CacheFolder, EvaluationCache
from gratis.evaluation.cascade import Cascade
from gratis.evaluation.evaluated_model import EvaluatedModel, FixedImages, device_of
from gratis.evaluation.measure import FOLDING_CHECKED
from gratis.evaluation.tasks import FixedSet, epsilon_curve
from gratis.progress import bar
from gratis.torch_state import fresh_torch_state, full_precision

_BATCH = 100


def measure_curve(
    model: nn.Module,
    split: Split,
    attack: AttackSettings,
    epsilons: tuple[float, ...],
    seed: int,
    folder: Path,
) -> tuple[tuple[float, float], ...]:
    """Return pairs of epsilon and accuracy in [0, 1], from epsilon 0, which is no attack.

    The epsilon of ``attack`` is replaced by each of ``epsilons``. An image that is fooled within an
    epsilon counts as fooled within the larger ones. The model is left as it was. Outcomes are
    stored in ``folder``, where the same call continues.
    """
    device, index = device_of(model), np.arange(len(split), dtype=np.int64)
    clean = FixedSet(name="clean")
    tasks = [clean, *epsilon_curve("pgd", attack, epsilons)]
    with fresh_torch_state(device), frozen(model), channels_last(model):
        evaluated = EvaluatedModel(model, split, {"clean": FixedImages(split.images, "")}, seed)
        with torch.no_grad(), full_precision(device):
            copied = folded(model, evaluated.batch_at(index[:FOLDING_CHECKED]).images)
        attacked = EvaluatedModel(model, split, evaluated.fixed_sets, seed, attack_copy=copied)
        cache = EvaluationCache(CacheFolder(folder), evaluated)
        with bar("frontier", len(index) * sum(task.cost for task in tasks)) as shown:
            cascade = Cascade(attacked, index, _BATCH, cache, shown)
            for task in tasks:
                cascade.run(task)
    found = [float(cascade.correct[task.name].mean()) for task in tasks]
    return tuple(zip((0.0, *sorted(epsilons)), found, strict=True))
