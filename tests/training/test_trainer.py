import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gratis.adversary import ADVERSARIES
from gratis.adversary.free import FreeAT
from gratis.data import Dataset, Split
from gratis.errors import GratisError
from gratis.run.build import build_trainer
from gratis.training import trainer as trainer_module
from gratis.training.fit import fit
from gratis.training.monitor import OverfittingMonitor

CONTRASTIVE = {"cross_entropy": {}, "contrastive": {"weight": 0.1}}
COLLAPSE = {"clean": 0.9, "fgsm": 0.8, "pgd": 0.01}
ROBUST = {"clean": 0.9, "fgsm": 0.8, "pgd": 0.7}
NOTHING = {"free": {"replays": 1, "epsilon": 0}}
GROWING = {"free": {"replays": {"linear": {"start": 1, "stop": 5}}, "epsilon": 0.05}}
COSTLY = [*ADVERSARIES, GROWING]
ids = [*ADVERSARIES, "growing"]


def lines(folder, kind="step"):
    written = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in written if line["kind"] == kind]


def weights(folder):
    tensors = load_file(folder / "checkpoint.safetensors")
    return {name: value for name, value in tensors.items() if name.startswith("model.")}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture
def dry(monkeypatch):
    """Skip the step itself, so that only the plan remains; return (t, images) of every step."""
    steps = []

    def step(train_state, batch, t, number, micro_batches):
        steps.append((t, len(batch)))
        terms = dict.fromkeys([*train_state.objective.names, "loss"], torch.tensor(1.0))
        return terms | {"accuracy": torch.tensor(0.5)}

    monkeypatch.setattr(trainer_module, "train_step", step)
    return steps


@pytest.mark.parametrize("augment", [False, True], ids=["plain", "augmented"])
@pytest.mark.parametrize("objective", ["cross_entropy", CONTRASTIVE], ids=["one", "two"])
@pytest.mark.parametrize("average", [None, 0.9])
def test_free_with_one_replay_and_no_epsilon_is_natural_training_bit_for_bit(
    augment, objective, average, trainer_of, tmp_path
):
    for name, adversary in (("natural", "natural"), ("free", NOTHING)):
        (tmp_path / name).mkdir()
        trainer = trainer_of(adversary, objective, augment=augment, ema_decay=average, epochs=2)
        assert fit(trainer, tmp_path / name, {"run": "x"})
    assert same(weights(tmp_path / "natural"), weights(tmp_path / "free"))
    for natural, free in zip(lines(tmp_path / "natural"), lines(tmp_path / "free"), strict=True):
        own = {"epsilon", "replays", "gamma", "passes_per_second", "images_per_second"}
        assert {k: v for k, v in natural.items() if k not in own} == {
            k: v for k, v in free.items() if k not in own
        }


@pytest.mark.parametrize("adversary", COSTLY, ids=ids)
@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("epochs", [0.7, 3, 4.9, 25])
def test_the_planned_passes_are_met_within_half_a_step(
    adversary, views, epochs, trainer_of, dry, tmp_path
):
    objective = CONTRASTIVE if views == 2 else "cross_entropy"
    trainer = trainer_of(adversary, objective, epochs=epochs)
    assert fit(trainer, tmp_path, {"run": "x"})
    cost = trainer.train_state.adversary.passes() * views
    assert trainer.planned == pytest.approx(61 * epochs)
    assert trainer.position.passes == cost * sum(images for _, images in dry)
    assert trainer.position.steps == len(dry)
    assert abs(trainer.position.passes - trainer.planned) <= cost * 8 / 2


@pytest.mark.parametrize("adversary", COSTLY, ids=ids)
def test_a_realistic_plan_is_met_within_one_per_cent(adversary, recipe_of, dry, tmp_path):
    images = np.zeros((1437, 4, 4, 3), dtype=np.uint8)
    split = Split(images, np.arange(1437, dtype=np.int64) % 10)
    dataset = Dataset("many", split, split, tuple("0123456789"), "many")
    recipe = recipe_of(adversary, augment=False, epochs=30, batch_size=64)
    trainer, _ = build_trainer(recipe, dataset)
    fit(trainer, tmp_path, {"run": "x"})
    assert trainer.position.passes == pytest.approx(30 * 1437, rel=0.01)


def test_a_denoiser_costs_its_share(trainer_of, dry, tmp_path):
    objective = {"cross_entropy": {}, "reconstruction": {}}
    trainer = trainer_of("natural", objective, denoiser=True, epochs=5)
    fit(trainer, tmp_path, {"run": "x"})
    seen = sum(images for _, images in dry)
    assert 1 < trainer.position.passes / seen < 2
    assert trainer.position.passes == pytest.approx(trainer.planned, abs=8)


def test_counting_images_takes_as_many_steps_as_natural_training(trainer_of, dry, tmp_path):
    (tmp_path / "natural").mkdir()
    fit(trainer_of("natural", count="images"), tmp_path / "natural", {"run": "x"})
    natural = list(dry)
    dry.clear()
    (tmp_path / "pgd").mkdir()
    trainer = trainer_of({"pgd": {"steps": 3}}, count="images")
    fit(trainer, tmp_path / "pgd", {"run": "x"})
    assert dry == natural
    assert trainer.position.passes == 4 * sum(images for _, images in natural)


def test_progress_runs_from_zero_to_almost_one_at_every_replay(trainer_of, dry, tmp_path):
    trainer = trainer_of({"free": {"replays": 4}}, epochs=10)
    fit(trainer, tmp_path, {"run": "x"})
    ts = [t for t, _ in dry]
    assert ts[0] == 0
    assert all(before < after for before, after in pairwise(ts))
    assert 1 - 1.5 * 8 / trainer.planned <= ts[-1] < 1


def test_replays_are_read_when_a_batch_is_drawn_and_the_last_are_cut(trainer_of, dry, tmp_path):
    trainer = trainer_of({"free": {"replays": 7, "epsilon": 0.05}}, epochs=2)
    fit(trainer, tmp_path, {"run": "x"})
    # 122 passes are 15 to 16 steps of 7 or 8 images: two batches of seven replays, and a part.
    assert 0 < trainer.position.steps % 7 < 7
    assert trainer.position.batches == -(-trainer.position.steps // 7)


@pytest.mark.parametrize(
    "adversary", ["natural", "n_fgsm", GROWING], ids=["natural", "n_fgsm", "free"]
)
def test_the_learning_rate_reaches_its_end(adversary, trainer_of, dry, tmp_path):
    rate = {"linear": {"start": 1, "stop": 0}}
    trainer = trainer_of(adversary, learning_rate=rate, epochs=30, log_every_steps=1)
    fit(trainer, tmp_path, {"run": "x"})
    rates = [line["learning_rate"] for line in lines(tmp_path)]
    step = trainer.train_state.adversary.passes() * 8 / trainer.planned
    assert rates[0] == 1
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] <= 1.5 * step
    assert trainer.train_state.optimizer.param_groups[0]["lr"] == rates[-1]


@pytest.mark.parametrize("log_every_steps", [1, 4, 1000])
def test_the_log_covers_every_step(log_every_steps, trainer_of, tmp_path):
    trainer = trainer_of(
        {"free": {"replays": 2}}, CONTRASTIVE, epochs=2, log_every_steps=log_every_steps
    )
    fit(trainer, tmp_path, {"run": "x"})
    steps = [line["step"] for line in lines(tmp_path)]
    # The last line is written at the end, also where log_every_steps does not divide the steps.
    assert steps == sorted(
        {*range(log_every_steps, trainer.position.steps, log_every_steps), steps[-1]}
    )
    assert steps[-1] == trainer.position.steps
    last = lines(tmp_path)[-1]
    terms = {"cross_entropy", "contrastive", "loss", "accuracy"}
    in_force = {"epsilon", "replays", "learning_rate"}
    assert terms | in_force | {"images_per_second", "passes_per_second"} <= last.keys()
    assert last["passes"] == trainer.position.passes


def test_a_line_has_the_replays_that_were_read_with_the_batch(trainer_of, dry, tmp_path):
    trainer = trainer_of(GROWING, epochs=12, log_every_steps=1)
    fit(trainer, tmp_path, {"run": "x"})
    replays = [line["replays"] for line in lines(tmp_path)]
    assert replays[0] == 1 and max(replays) == 5
    # Every batch is replayed as often as its lines say; the last one may be cut.
    while len(replays) > replays[0]:
        own, replays = replays[: replays[0]], replays[replays[0] :]
        assert set(own) == {own[0]}
    assert len(set(replays)) == 1


@pytest.mark.parametrize("log_every_steps", [1, 7, 1000])
def test_every_epoch_gets_the_means_over_its_steps(
    log_every_steps, recipe_of, toy, monkeypatch, tmp_path
):
    steps = []

    def step(train_state, batch, t, number, micro_batches):
        steps.append(number / 100)
        return dict.fromkeys(["cross_entropy", "loss", "accuracy"], torch.tensor(steps[-1]))

    monkeypatch.setattr(trainer_module, "train_step", step)
    trainer, _ = build_trainer(recipe_of(epochs=3, log_every_steps=log_every_steps), toy)
    fit(trainer, tmp_path, {"run": "x"})
    epochs = lines(tmp_path, "epoch")
    assert [line["epoch"] for line in epochs] == pytest.approx([1, 2, 3], abs=0.1)
    begin = 0
    for line in epochs:
        assert line["loss"] == pytest.approx(np.mean(steps[begin : line["step"]]))
        assert "held_out" not in line
        begin = line["step"]


@pytest.mark.parametrize(
    "every, expected", [(1, [1, 2, 3, 4, 5, 6, 6.5]), (2, [2, 4, 6, 6.5]), (2.5, [3, 5, 6.5])]
)
def test_the_monitor_runs_at_the_epochs_that_it_is_due(
    every, expected, trainer_of, fake_monitor, dry, tmp_path
):
    trainer = trainer_of(epochs=6.5, monitor_every_epochs=every)
    fit(
        trainer,
        tmp_path,
        {"run": "x"},
        monitor=fake_monitor(ROBUST),
    )
    epochs = [line["epoch"] for line in lines(tmp_path, "epoch") if "held_out" in line]
    assert epochs == pytest.approx(expected, abs=8 / 61)


def test_a_finished_run_does_not_change(trainer_of, tmp_path):
    assert fit(trainer_of("free"), tmp_path, {"run": "x"})
    before, log = weights(tmp_path), (tmp_path / "metrics.jsonl").read_bytes()
    assert fit(trainer_of("free"), tmp_path, {"run": "x"})
    assert same(weights(tmp_path), before)
    assert (tmp_path / "metrics.jsonl").read_bytes() == log


def test_a_folder_that_cannot_be_written_is_one_clear_line(trainer_of, tmp_path):
    with pytest.raises(GratisError, match=r"metrics\.jsonl: cannot be written"):
        fit(trainer_of(), tmp_path / "missing", {"run": "x"})


def test_the_monitor_changes_nothing(recipe_of, toy, tmp_path):
    recipe = recipe_of("free", ema_decay=0.9, held_out_per_class=2)
    for name in ("alone", "monitored"):
        (tmp_path / name).mkdir()
        trainer, monitor = build_trainer(recipe, toy)
        assert isinstance(monitor, OverfittingMonitor)
        fit(
            trainer, tmp_path / name, {"run": "x"}, monitor=monitor if name == "monitored" else None
        )
    assert same(weights(tmp_path / "alone"), weights(tmp_path / "monitored"))
    assert not any("held_out" in line for line in lines(tmp_path / "alone", "epoch"))
    measured = [line["held_out"] for line in lines(tmp_path / "monitored", "epoch")]
    assert all(each.keys() == {"clean", "fgsm", "pgd"} for each in measured)
    assert measured[-1] == monitor(trainer.train_state.evaluated)


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_catastrophic_overfitting_is_reported_of_adversarial_training_only(
    adversary, trainer_of, fake_monitor, dry, caplog, tmp_path
):
    trainer = trainer_of(adversary, epochs=3)
    fit(trainer, tmp_path, {"run": "x"}, monitor=fake_monitor(ROBUST, COLLAPSE))
    # A natural model is fooled by every attack.
    assert ("catastrophic overfitting" in caplog.text) == (adversary != "natural")


def test_an_adversary_that_logs_nothing_is_monitored_too(
    trainer_of, fake_monitor, dry, caplog, tmp_path
):
    class Silent(FreeAT):
        def describe(self, t):
            return {}

    trainer = trainer_of("free", epochs=1.2)
    trainer.train_state.adversary = Silent()
    fit(trainer, tmp_path, {"run": "x"}, monitor=fake_monitor(ROBUST, COLLAPSE))
    assert "epsilon" not in lines(tmp_path)[0]
    assert "catastrophic overfitting" in caplog.text


@pytest.mark.parametrize("objective", ["cross_entropy", CONTRASTIVE], ids=["one", "two"])
def test_views_are_drawn_once_per_batch(objective, trainer_of, monkeypatch, tmp_path):
    seen = []
    real = trainer_module.train_step

    def step(train_state, batch, t, number, micro_batches):
        seen.append((batch, batch.views.clone()))
        return real(train_state, batch, t, number, micro_batches)

    monkeypatch.setattr(trainer_module, "train_step", step)
    fit(trainer_of({"free": {"replays": 3}}, objective, epochs=2), tmp_path, {"run": "x"})
    for (batch, views), (other, others) in pairwise(seen):
        assert (batch is other) == torch.equal(views, others)
    batch = seen[0][0]
    assert not torch.equal(batch.views[: len(batch)], batch.images)
    if batch.view_count == 2:
        assert not torch.equal(batch.views[: len(batch)], batch.views[len(batch) :])


def test_adamw_trains(recipe_of, toy, tmp_path):
    recipe = recipe_of("free", optimizer="adamw", learning_rate=0.01, epochs=8, augment=False)
    trainer, _ = build_trainer(recipe, toy)
    fit(trainer, tmp_path, {"run": "x"})
    losses = [line["cross_entropy"] for line in lines(tmp_path)]
    assert losses[-1] < 0.8 * losses[0]


def test_a_frozen_backbone_and_its_statistics_do_not_change(recipe_of, toy, tmp_path):
    recipe = recipe_of("natural", epochs=2)
    model = recipe.model.model_copy(update={"freeze_backbone": True})
    trainer, _ = build_trainer(recipe.model_copy(update={"model": model}), toy)
    backbone = trainer.train_state.module.backbone
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    fit(trainer, tmp_path, {"run": "x"})
    assert same(before, dict(backbone.state_dict()))
