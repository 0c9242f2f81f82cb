"""Out of memory in training: batches go through the model in parts, and training continues."""

import json
from dataclasses import asdict

import pytest
import torch
from torch import nn

from gratis.adversary import ADVERSARIES
from gratis.data import Batch
from gratis.errors import GratisError
from gratis.run.build import build_trainer
from gratis.training.divergence import Rollback
from gratis.training.fit import fit
from gratis.training.micro_batching import (
    MicroBatching,
    micro_batches_after,
    more_micro_batches,
    smallest_micro_batch,
)
from gratis.training.step import train_step

RUN = {"run": "x"}
IMAGES = 7
TWO_VIEWS = {"cross_entropy": {}, "contrastive": {"weight": 0.1}}
STEEP = {
    "free": {"epsilon": 0.05, "gamma": 0.7},
    "n_fgsm": {"epsilon": 0.05},
    "fgsm_rs": {"epsilon": 0.05},
    "assigned_fgsm": {"epsilon": 0.05, "source": "other_class"},
    "pgd": {"epsilon": 0.05, "steps": 2},
}


def lines(folder, kind):
    written = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in written if line["kind"] == kind]


def batch_of(n, views=1):
    source = torch.Generator().manual_seed(n)
    views = torch.rand((views * n, 3, 8, 8), generator=source, dtype=torch.float64)
    return Batch(views[:n], torch.arange(n) % 4, torch.arange(n), views, split_size=IMAGES)


def without_batch_norm(train_state):
    """Make outputs independent of the rest of the batch and of chance."""
    for module in list(train_state.module.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                own = nn.GroupNorm(2, child.num_features)
                own.drop, own.act = nn.Identity(), getattr(child, "act", nn.Identity())
                setattr(module, name, own)
    train_state.module.head.dropout = 0.0
    train_state.module.double().train()
    assert smallest_micro_batch(train_state.module) == 1


def trained(train_state, parts, sizes=(IMAGES, 5, IMAGES), views=1):
    """Train a few steps; return the weights, the adversary's state and the reports."""
    without_batch_norm(train_state)
    train_state.optimizer = torch.optim.SGD(train_state.module.parameters(), 0.1)
    reports = [
        train_step(train_state, batch_of(n, views), 0.5, step, parts)
        for step, n in enumerate(sizes)
    ]
    return train_state.module.state_dict(), train_state.adversary.state_dict(), reports


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("name", ADVERSARIES)
def test_parts_give_the_same_weights_and_delta(name, views, trainer_of):
    adversary = {name: STEEP.get(name, {})}
    whole, *others = (
        trained(trainer_of(adversary).train_state, parts, views=views) for parts in (1, 2, 3, 7)
    )
    for parts in others:
        for one, other in zip(whole, parts, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


class SmallDevice:
    """A device that runs out of memory with more than so many images at once."""

    def __init__(self, images):
        self.images, self.seen = images, []

    def attach(self, trainer):
        trainer.train_state.module.register_forward_pre_hook(self)
        return trainer

    def __call__(self, module, arguments):
        (images,) = arguments
        if len(images) > self.images:
            raise torch.OutOfMemoryError("simulated")
        self.seen.append(len(images))


def weights(trainer):
    return {k: v.clone() for k, v in trainer.train_state.module.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("name", ADVERSARIES)
def test_training_continues_in_parts(name, trainer_of, tmp_path, caplog):
    trainer = SmallDevice(5).attach(trainer_of(name, epochs=2, log_every_steps=1))
    assert fit(trainer, tmp_path, RUN)
    (event,) = trainer.position.events
    assert lines(tmp_path, "memory") == [asdict(event)]
    assert (event.step, event.micro_batches) == (0, 2)
    assert caplog.text.count("out of memory: batches now go") == 1
    # One update per step for any number of parts, and the planned epochs.
    assert trainer.position.passes == pytest.approx(trainer.planned, abs=8 * trainer.cost)
    assert [line["step"] for line in lines(tmp_path, "step")] == [
        *range(1, trainer.position.steps + 1)
    ]


@pytest.mark.parametrize("name", ADVERSARIES)
def test_a_failed_attempt_leaves_no_trace(name, trainer_of, tmp_path):
    """The weights are those of a run in parts from the beginning."""
    adversary = {name: STEEP.get(name, {})}
    seen = []
    for images in (5, 100):
        device = SmallDevice(images)
        trainer = device.attach(trainer_of(adversary, epochs=2))
        if images == 100:
            trainer.position.events = [MicroBatching(0, 0, 0, 2)]
        (tmp_path / str(images)).mkdir()
        fit(trainer, tmp_path / str(images), RUN)
        seen.append((weights(trainer), device.seen))
    (failed, own), (planned, others) = seen
    assert own == others
    assert same(failed, planned)


def test_a_resumed_run_keeps_its_parts_bit_for_bit(trainer_of, tmp_path):
    ends = []
    for name, stop in (("whole", None), ("parts", 4)):
        (tmp_path / name).mkdir()
        left = iter([False] * (stop or 10_000))
        trainer = SmallDevice(7).attach(trainer_of("free", TWO_VIEWS, epochs=2))
        fit(trainer, tmp_path / name, RUN, lambda left=left: next(left, True))
        if stop:
            # On a device with enough memory for a whole batch, the parts stay.
            device = SmallDevice(100)
            trainer = device.attach(trainer_of("free", TWO_VIEWS, epochs=2))
            assert fit(trainer, tmp_path / name, RUN)
            assert max(device.seen) <= 7
        ends.append(weights(trainer))
    assert same(*ends)


def test_a_killed_run_does_not_run_out_of_memory_again(trainer_of, tmp_path):
    trainer = SmallDevice(5).attach(trainer_of("free", epochs=2, log_every_steps=1000))
    step = trainer.step

    def killed():
        if trainer.position.steps == 3:
            raise KeyboardInterrupt
        return step()

    trainer.step = killed
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, tmp_path, RUN)
    resumed = trainer_of("free", epochs=2, log_every_steps=1000)
    resumed.restore(tmp_path / "checkpoint.safetensors", RUN)
    assert resumed.position.events == trainer.position.events


def test_a_batch_that_never_fits_is_an_error(trainer_of, tmp_path):
    trainer = SmallDevice(0).attach(trainer_of("free", epochs=2))
    with pytest.raises(GratisError, match=r"out of memory even with the batch in \d micro-batches"):
        fit(trainer, tmp_path, RUN)


def test_batch_norm_sees_two_images_in_every_part(trainer_of, tmp_path):
    """Batches of 7 and of 8 images in parts of at most three."""
    device = SmallDevice(3)
    fit(device.attach(trainer_of(epochs=2)), tmp_path, RUN)
    assert set(device.seen) == {2, 3}


def test_out_of_memory_in_the_update_ends_training(trainer_of, monkeypatch):
    """Otherwise the step would be made twice."""
    trainer = trainer_of("free")

    def fails(*_):
        raise torch.OutOfMemoryError("simulated")

    monkeypatch.setattr(trainer.train_state.optimizer, "step", fails)
    with pytest.raises(GratisError, match="updating weights"):
        trainer.step()


def test_the_monitor_halves_its_batches(recipe_of, toy):
    found = []
    for images in (100, 3):
        trainer, monitor = build_trainer(recipe_of(held_out_per_class=3), toy)
        SmallDevice(images).attach(trainer)
        found.append(monitor(trainer.train_state.module))
    assert found[0] == found[1]
    SmallDevice(0).attach(trainer)
    with pytest.raises(torch.OutOfMemoryError):
        monitor(trainer.train_state.module)


def test_parts_double_up_to_the_most_possible():
    assert [more_micro_batches(1, 7), more_micro_batches(2, 7), more_micro_batches(4, 7)] == [
        2,
        4,
        7,
    ]
    with pytest.raises(GratisError, match="in 7 micro-batches"):
        more_micro_batches(7, 7)
    assert micro_batches_after([]) == 1
    assert micro_batches_after([MicroBatching(0, 0, 0, 2), Rollback(1, 0, 0, 0, "", 0.5)]) == 2
    assert micro_batches_after([MicroBatching(0, 0, 0, 2), MicroBatching(3, 0, 0, 4)]) == 4
