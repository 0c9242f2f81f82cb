"""Timing a recipe: every part is told, and nothing stays changed."""

import pytest

from gratis.data import Batches
from gratis.recipe import resolve
from gratis.run import time_recipe
from gratis.training.metrics import Averages

TINY = ["model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3", "train.epochs=0.1"]
TRAINED = {"read", "augment", "forward", "loss", "backward", "optimizer", "log", "other"}


@pytest.mark.parametrize("name", ["resnet18", "contrastive-scheduled", "pgd"])
def test_every_part_of_a_step_is_told(name):
    before = Batches.__getitem__, Averages.add
    timing = time_recipe(resolve(name, "digits", TINY), seconds=0.1)
    assert (Batches.__getitem__, Averages.add) == before
    parts = timing.milliseconds
    assert parts.keys() >= TRAINED
    assert all(parts[name] > 0 for name in TRAINED - {"augment"})
    # Only an adversary that attacks on its own account works long before the forward pass.
    assert (parts["perturb"] > parts["forward"]) == (name == "pgd")
    assert (parts["augment"] > 0) == (name != "resnet18")
    assert timing.share_range[0] <= timing.share <= timing.share_range[1]
    assert timing.memory > 10 * 2**20
    cost = timing.passes_per_second / timing.images_per_second
    assert cost == pytest.approx({"resnet18": 1, "contrastive-scheduled": 2, "pgd": 4}[name])
