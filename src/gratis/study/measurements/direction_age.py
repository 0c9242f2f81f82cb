"""How well a cached delta still attacks, by its age, for an adversary that caches one per image.

The age is counted from the batch in which the delta was last updated to the end of training, and
given as a share of a traversal of the data. The model sees the same views as in that batch. If
training ends within a traversal, some of the older deltas were updated again.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gratis.adversary.cached import CachedFreeAT
from gratis.attacks import input_gradient
from gratis.data import Batch
from gratis.data.info import DataInfo
from gratis.model import classify_with, logits_of
from gratis.run.build import build_trainer
from gratis.run.folder import RunFolder
from gratis.study.measurements.base import MeasuredRun

# As a share of a traversal; each age is measured on so many batches.
_AGES, _BATCHES = {"age_0": 0.0, "age_0.25": 0.25, "age_0.5": 0.5, "age_1": 1.0}, 3
NAMES = {
    "age_none": "accuracy on views of training images without delta",
    "age_fresh": "accuracy with an FGSM delta made on the trained model",
    **{
        name: f"accuracy with a cached delta that is {age:g} traversals of the data old"
        for name, age in _AGES.items()
    },
}


def measure(run: MeasuredRun) -> dict[str, float]:
    """Return the accuracies in percent; none for an adversary without a cache."""
    folder = RunFolder(run.path)
    recipe = folder.recipe()
    trainer, _ = build_trainer(recipe, run.dataset)
    trainer.restore(folder.checkpoint, recipe.identity(DataInfo.of(run.dataset)))
    adversary, batches = trainer.train_state.adversary, trainer.batches
    if not isinstance(adversary, CachedFreeAT):
        return {}
    last = trainer.position.batches - 1
    recent = [batches[max(0, last - number)] for number in range(_BATCHES)]
    epsilon = adversary.settings.epsilon(1.0)

    def cached(batch: Batch) -> Tensor:
        return adversary.perturb(run.model, batch, 1.0)

    def fresh(batch: Batch) -> Tensor:
        gradient = input_gradient(classify_with(run.model), batch.views, batch.view_labels)
        return (batch.views + epsilon * torch.sign(gradient)).clamp(0, 1)

    found = {
        "age_none": _accuracy(run, recent, lambda batch: batch.views),
        "age_fresh": _accuracy(run, recent, fresh),
    }
    for name, age in _AGES.items():
        first = last - round(age * (len(batches) - _BATCHES))
        if first - _BATCHES + 1 >= 0:
            old = [batches[first - number] for number in range(_BATCHES)]
            found[name] = _accuracy(run, old, cached)
    return found


def _accuracy(run: MeasuredRun, batches: list[Batch], change: Callable[[Batch], Tensor]) -> float:
    right = count = 0
    for batch in batches:
        images = change(batch)
        with torch.no_grad():
            found = logits_of(run.model(images)).argmax(dim=1)
        right += int((found == batch.view_labels).sum())
        count += len(found)
    return 100 * right / count
