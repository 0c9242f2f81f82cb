"""Timing a recipe: every part of a step is reported, and nothing stays changed."""

from types import SimpleNamespace

import pytest

from gratis.data import Batches
from gratis.recipe import resolve
from gratis.run import time_recipe, timing
from gratis.training.metrics import Averages
from gratis.training.trainer import Trainer

TINY = ["model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3", "train.epochs=0.1"]
TRAINED = {"read", "augment", "forward", "loss", "backward", "optimizer", "log", "other"}


@pytest.mark.parametrize("name", ["resnet18", "contrastive-scheduled", "pgd"])
def test_every_part_of_a_step_is_reported(name):
    before = Batches.__getitem__, Averages.add
    timing = time_recipe(resolve(name, "digits", TINY), seconds=0.1)
    assert (Batches.__getitem__, Averages.add) == before
    parts = timing.milliseconds
    assert parts.keys() >= TRAINED
    assert all(parts[name] > 0 for name in TRAINED - {"augment"})
    # Only an adversary with attack passes of its own takes longer than the forward pass.
    assert (parts["perturb"] > parts["forward"]) == (name == "pgd")
    assert (parts["augment"] > 0) == (name != "resnet18")
    assert timing.share_range[0] <= timing.share <= timing.share_range[1]
    assert timing.memory > 10 * 2**20
    cost = timing.passes_per_second / timing.images_per_second
    assert cost == pytest.approx({"resnet18": 1, "contrastive-scheduled": 2, "pgd": 4}[name])


def test_it_ends_in_the_given_time(monkeypatch):
    """On a clock that a step moves by a second: the least is five steps, more take the time."""
    clock = SimpleNamespace(now=0.0)
    step = Trainer.step

    def slow(trainer):
        clock.now += 1
        return step(trainer)

    def slow_loop(trainer):
        def bare():
            clock.now += 1
            return 1.0

        return bare

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(Trainer, "step", slow)
    monkeypatch.setattr(timing, "bare_loop", slow_loop)
    for seconds, most in ((0.5, 5), (20, 22), (60, 66)):
        clock.now = 0.0
        time_recipe(resolve("resnet18", "digits", TINY), seconds)
        assert 0.8 * seconds <= clock.now <= most
