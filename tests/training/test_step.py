from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from gratis.adversary import ADVERSARIES
from gratis.data import Batch
from gratis.run import launch
from gratis.training.step import train_step

TWO_VIEWS = {"cross_entropy": {}, "contrastive": {"weight": 0.1}}


def batch_of(n=6, views=1):
    source = torch.Generator().manual_seed(n)
    images = torch.rand((views * n, 3, 8, 8), generator=source)
    return Batch(images[:n], torch.arange(n) % 4, torch.arange(n), images, split_size=n)


def weights(train_state):
    return {name: tensor.clone() for name, tensor in train_state.module.state_dict().items()}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_it_reports_weighted_terms_their_sum_and_the_accuracy(name, trainer_of):
    objective = {"cross_entropy": {"weight": 3}, "contrastive": {"weight": 0.1}}
    train_state = trainer_of(name, objective).train_state
    train_state.module.train()
    report = train_step(train_state, batch_of(views=2), 0.5, 0)
    assert set(report) == {"cross_entropy", "contrastive", "loss", "accuracy"}
    assert not any(value.requires_grad for value in report.values())
    torch.testing.assert_close(report["loss"], report["cross_entropy"] + report["contrastive"])
    assert report["accuracy"].item() * 12 == pytest.approx(round(report["accuracy"].item() * 12))


@pytest.mark.parametrize("name", ADVERSARIES)
def test_the_weights_move_and_only_by_the_training_pass(name, trainer_of):
    train_state = trainer_of(name).train_state
    train_state.module.train()
    before = weights(train_state)
    train_state.optimizer.param_groups[0]["lr"] = 0.1
    train_step(train_state, batch_of(), 0.5, 0)
    after = weights(train_state)
    assert not torch.equal(before["head.classes.weight"], after["head.classes.weight"])
    # Batch norm has seen one batch, whatever attacks ran before.
    assert after["backbone.bn1.num_batches_tracked"] == 1


@pytest.mark.parametrize("name", ADVERSARIES)
def test_dropout_follows_the_number_of_the_step_alone(name, trainer_of):
    losses = []
    for noise in (1, 2):
        train_state = trainer_of(name).train_state
        train_state.module.train()
        torch.manual_seed(noise)
        losses.append([train_step(train_state, batch_of(), 0.0, k)["loss"] for k in (7, 8, 7)])
    assert losses[0] == losses[1]
    if name == "natural":  # its loss depends on nothing else while the rate is zero
        assert losses[0][0] == losses[0][2] != losses[0][1]


@pytest.mark.parametrize("name", ADVERSARIES)
def test_every_adversary_steps_in_mixed_precision(name, trainer_of, monkeypatch):
    monkeypatch.setattr(
        launch, "Fabric", lambda **own: Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    )
    objective = TWO_VIEWS | {"reconstruction": {}}
    train_state = trainer_of(name, objective, denoiser=True).train_state
    train_state.module.train()
    batch = batch_of(views=2)
    for step in range(2):
        report = train_step(train_state, batch, 0.5, step)
        assert all(value.isfinite() for value in report.values())
        assert report["loss"].dtype == torch.float32
    if name == "free":
        delta = train_state.adversary.state_dict()["delta"]
        assert delta.dtype == torch.float32
        assert delta.abs().max() > 0.03


def test_free_training_takes_its_gradient_in_front_of_the_denoiser(trainer_of):
    objective = {"cross_entropy": {"weight": 0}, "reconstruction": {}}
    train_state = trainer_of("free", objective, denoiser=True).train_state
    train_state.module.train()
    batch = batch_of()
    # The denoiser is the identity, so that the error is 0.2 everywhere.
    batch = replace(batch, images=batch.views - 0.2)
    train_step(train_state, batch, 0.5, 0)
    # Brighter images are further from the target: nothing but reconstruction was ascended.
    assert (train_state.adversary.state_dict()["delta"] > 0.03).all()
