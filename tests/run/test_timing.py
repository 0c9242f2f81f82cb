"""Timing a recipe: every part of a step is reported, and nothing stays changed."""

from types import SimpleNamespace

import pytest

from gratis.data import Batches
from gratis.model import Classifier
from gratis.recipe import resolve
from gratis.run import time_recipe, timing
from gratis.training.metrics import RunningMeans
from gratis.training.trainer import Trainer

TINY = ["model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3", "train.epochs=0.1"]
STEP = ("read", "augment", "perturb", "forward", "loss", "backward", "optimizer", "delta", "log")
PARTS = {*STEP, "other"}


@pytest.mark.parametrize("name", ["resnet18", "contrastive-scheduled", "pgd"])
def test_every_part_of_a_step_is_reported(name, monkeypatch):
    """On a clock that every forward pass moves by a second."""
    clock, forward = SimpleNamespace(now=0.0), Classifier.forward

    def slow(model, images):
        clock.now += 1
        return forward(model, images)

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(Classifier, "forward", slow)
    before = Batches.__getitem__, RunningMeans.add
    found = time_recipe(resolve(name, "digits", TINY), seconds=0.1)
    assert (Batches.__getitem__, RunningMeans.add) == before
    parts = found.milliseconds
    assert parts.keys() == PARTS
    # The three attack steps of pgd are the adversary's.
    attack = 3000 if name == "pgd" else 0
    expected = dict.fromkeys(PARTS, 0) | {"forward": 1000, "perturb": attack}
    assert parts == pytest.approx(expected)
    # The bare loop makes as many passes a second, up to the sizes of batches.
    assert found.share_range == (found.share, found.share)
    assert found.share == pytest.approx(1, rel=0.1)
    assert found.memory > 10 * 2**20
    cost = found.passes_per_second / found.images_per_second
    assert cost == pytest.approx({"resnet18": 1, "contrastive-scheduled": 2, "pgd": 4}[name])


def test_it_ends_in_the_given_time(monkeypatch):
    """On a clock that steps, loading and building move: the least is four steps."""
    clock = SimpleNamespace(now=0.0, step=1.0)
    step, build = Trainer.step, timing.build_to_measure

    def slow(trainer):
        clock.now += clock.step
        return step(trainer)

    def slow_loop(trainer):
        def bare():
            clock.now += clock.step
            return trainer.cost * trainer.batches.largest

        return bare

    def slow_build(*arguments):
        clock.now += 3
        return build(*arguments)

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(Trainer, "step", slow)
    monkeypatch.setattr(timing, "bare_loop", slow_loop)
    monkeypatch.setattr(timing, "build_to_measure", slow_build)
    for seconds, duration, most in (
        *((0.5, 1, 7), (20, 1, 21), (20, 3, 20.5), (20, 4, 20.5)),
        *((20, 4.5, 23), (20, 6, 27)),
    ):
        clock.now, clock.step = 0.0, duration
        # Four replays of each batch.
        time_recipe(resolve("free", "digits", TINY), seconds)
        assert 0.8 * seconds <= clock.now <= most
