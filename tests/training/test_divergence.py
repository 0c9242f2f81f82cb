"""Numerical divergence: back to the last good checkpoint with half the rate, or an error."""

import json
from dataclasses import asdict

import pytest
import torch

from gratis.errors import GratisError, Interrupted
from gratis.training import trainer as trainer_module
from gratis.training.divergence import Divergence, Rollback, refuse_divergence
from gratis.training.fit import fit

NAN, EXPLODED = float("nan"), 1e6
RUN = {"run": "x"}
COLLAPSE = {"clean": 0.9, "fgsm": 0.8, "pgd": 0.01}
ROBUST = {"clean": 0.9, "fgsm": 0.8, "pgd": 0.7}


def lines(folder, kind):
    written = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in written if line["kind"] == kind]


@pytest.fixture
def diverge(monkeypatch):
    """Make steps report another loss: ``diverge(when, loss)``, with ``when(step, rate)``."""

    def change(when, loss):
        real = trainer_module.train_step

        def step(train_state, batch, t, number, micro_batches):
            values = real(train_state, batch, t, number, micro_batches)
            if when(number, train_state.optimizer.param_groups[0]["lr"]):
                values["loss"] = torch.tensor(loss)
            return values

        monkeypatch.setattr(trainer_module, "train_step", step)

    return change


@pytest.mark.parametrize("loss", [NAN, EXPLODED])
def test_training_goes_back_and_continues_with_half_the_rate(
    loss, diverge, trainer_of, tmp_path, caplog
):
    diverge(lambda step, rate: step == 13 and rate == 0.02, loss)
    trainer = trainer_of("free", epochs=4)
    assert fit(trainer, tmp_path, RUN)
    (event,) = lines(tmp_path, "rollback")
    assert [asdict(each) for each in trainer.position.events] == [event]
    # Detected at the first line after step 13, which is after 15 steps.
    assert (event["step"], event["rate_factor"]) == (15, 0.5)
    assert event["to_step"] <= 13
    assert "back to epoch" in caplog.text
    steps = lines(tmp_path, "step")
    assert [line["step"] for line in steps[:-1]] == list(range(3, steps[-2]["step"] + 1, 3))
    rates = [line["learning_rate"] for line in steps if line["step"] > event["to_step"] + 3]
    assert set(rates) == {0.01}
    assert trainer.position.passes == pytest.approx(trainer.planned, abs=8)


def test_the_weights_are_those_of_the_checkpoint_gone_back_to(diverge, trainer_of, tmp_path):
    for name in ("whole", "rolled back"):
        (tmp_path / name).mkdir()
    halved = trainer_of("free", epochs=3)
    halved.position.events = [Rollback(0, 0, 0, 0, "", 0.5)]  # half the rate from the beginning
    fit(halved, tmp_path / "whole", RUN)
    diverge(lambda step, rate: step == 2 and rate == 0.02, NAN)
    trainer = trainer_of("free", epochs=3)
    fit(trainer, tmp_path / "rolled back", RUN)
    assert trainer.position.events[0].to_step == 0
    expected = halved.train_state.module.state_dict()
    for name, tensor in trainer.train_state.module.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_after_three_rollbacks_it_stops_and_keeps_the_last_good_checkpoint(
    diverge, trainer_of, tmp_path
):
    diverge(lambda step, rate: step == 13, NAN)
    trainer = trainer_of("free", epochs=4)
    with pytest.raises(GratisError, match=r"no longer finite after epoch 1\.8, 3 times after"):
        fit(trainer, tmp_path, RUN)
    assert [line["rate_factor"] for line in lines(tmp_path, "rollback")] == [0.5, 0.25, 0.125]
    # A resumed run counts them too.
    with pytest.raises(GratisError, match="3 times after"):
        fit(trainer_of("free", epochs=4), tmp_path, RUN)
    assert len(lines(tmp_path, "rollback")) == 3


@pytest.mark.parametrize("log_every_steps", [2, 1000], ids=["logged", "between two lines"])
def test_stopping_instead_says_how_to_continue(log_every_steps, trainer_of, tmp_path):
    trainer = trainer_of(
        learning_rate=1e25, epochs=2, log_every_steps=log_every_steps, on_divergence="stop"
    )
    with pytest.raises(GratisError, match=r"no longer finite.*--on-divergence rollback.*rate"):
        fit(trainer, tmp_path, RUN)
    assert fit(trainer_of(epochs=2), tmp_path, RUN)


def test_a_rate_that_is_far_too_high_stops_after_three_rollbacks(trainer_of, tmp_path):
    with pytest.raises(GratisError, match="3 times after going back"):
        fit(trainer_of(learning_rate=1e25, epochs=2), tmp_path, RUN)


def test_a_rollback_is_kept_when_the_run_is_killed_after_it(
    diverge, trainer_of, monkeypatch, tmp_path
):
    """Killed in the step after a rollback, the resumed run continues with half the rate."""
    diverge(lambda step, rate: step == 13 and rate == 0.02, NAN)
    sound = trainer_module.train_step
    trainer = trainer_of("free", epochs=4)

    def killed(*arguments):
        if trainer.position.events:
            raise KeyboardInterrupt
        return sound(*arguments)

    monkeypatch.setattr(trainer_module, "train_step", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, tmp_path, RUN)
    monkeypatch.setattr(trainer_module, "train_step", sound)
    resumed = trainer_of("free", epochs=4)
    assert fit(resumed, tmp_path, RUN)
    assert resumed.position.events == trainer.position.events
    assert len(lines(tmp_path, "rollback")) == 1


def test_weights_that_are_not_finite_never_replace_a_good_checkpoint(
    monkeypatch, trainer_of, tmp_path
):
    """The loss of a step is that before its update, which may make the weights not finite."""
    real = trainer_module.train_step

    def step(train_state, batch, t, number, micro_batches):
        values = real(train_state, batch, t, number, micro_batches)
        if number == 4 and train_state.optimizer.param_groups[0]["lr"] == 0.02:
            with torch.no_grad():
                next(train_state.module.parameters()).fill_(torch.inf)
        return values

    monkeypatch.setattr(trainer_module, "train_step", step)
    left = iter([False] * 5)
    stopped = trainer_of(epochs=3, log_every_steps=1000)
    with pytest.raises(Interrupted, match=r"stopped after epoch 0\.6 without saving, because"):
        fit(stopped, tmp_path, RUN, lambda: next(left, True))
    assert stopped.position.steps == 5
    resumed = trainer_of(epochs=3, log_every_steps=1000)
    assert fit(resumed, tmp_path, RUN)
    (event,) = lines(tmp_path, "rollback")
    assert "finite" in event["reason"]


def test_initial_weights_that_are_not_finite_are_an_error(trainer_of, tmp_path):
    trainer = trainer_of()
    with torch.no_grad():
        next(trainer.train_state.module.parameters()).fill_(torch.nan)
    with pytest.raises(GratisError, match=r"finite before training began; check model\.weights"):
        fit(trainer, tmp_path, RUN)


@pytest.mark.parametrize("choice", ["warn", "stop", "rollback"])
def test_catastrophic_overfitting_warns_stops_or_rolls_back(
    choice, trainer_of, fake_monitor, tmp_path, caplog
):
    trainer = trainer_of("n_fgsm", epochs=4, on_overfitting=choice)
    monitor = fake_monitor(ROBUST, COLLAPSE, ROBUST)
    if choice == "stop":
        with pytest.raises(GratisError, match=r"catastrophic overfitting.*lower epsilon"):
            fit(trainer, tmp_path, RUN, monitor=monitor)
        return
    assert fit(trainer, tmp_path, RUN, monitor=monitor)
    assert "catastrophic overfitting" in caplog.text
    assert len(trainer.position.events) == (choice == "rollback")


@pytest.mark.parametrize("choice", ["warn", "stop", "rollback"])
@pytest.mark.parametrize(
    "series",
    [
        [{"clean": 0.6, "fgsm": 0.6, "pgd": pgd} for pgd in (0, 0.16, 0.24, 0.28)],
        [COLLAPSE],
        [ROBUST, {"clean": 0.12, "fgsm": 0.8, "pgd": 0}],
    ],
    ids=["rising", "never robust", "at chance"],
)
def test_a_model_that_is_not_robust_yet_has_not_overfitted(
    choice, series, trainer_of, fake_monitor, tmp_path, caplog
):
    trainer = trainer_of("n_fgsm", epochs=4, on_overfitting=choice)
    with caplog.at_level("INFO"):
        assert fit(trainer, tmp_path, RUN, monitor=fake_monitor(*series))
    assert "catastrophic" not in caplog.text and not trainer.position.events
    assert ("not robust yet" in caplog.text) == (len(series) != 2)


def test_what_pgd_had_is_known_after_a_resume(trainer_of, fake_monitor, tmp_path, caplog):
    stopping = iter([False] * 5)
    monitor = fake_monitor(ROBUST, COLLAPSE)
    assert not fit(
        trainer_of("n_fgsm", epochs=2), tmp_path, RUN, lambda: next(stopping, True), monitor
    )
    assert len(monitor.found) == 1 and "catastrophic" not in caplog.text
    assert fit(trainer_of("n_fgsm", epochs=2), tmp_path, RUN, monitor=monitor)
    assert "catastrophic overfitting" in caplog.text


def test_overfitting_rolls_back_to_before_it_whatever_was_saved_since(
    trainer_of, fake_monitor, tmp_path
):
    """A checkpoint is saved at every line of the log, but the monitor runs once an epoch."""
    often = {"log_every_steps": 1, "checkpoint_every_minutes": 1e-9, "epochs": 4}
    trainer = trainer_of("free", on_overfitting="rollback", **often)

    class Monitor(fake_monitor):
        def __call__(self, model):
            # Overfitted from step 10 on, until the rate is halved.
            overfitted = trainer.position.steps > 10 and not trainer.position.events
            return COLLAPSE if overfitted else ROBUST

    assert fit(trainer, tmp_path, RUN, monitor=Monitor())
    (event,) = trainer.position.events
    assert event.to_step <= 10 < event.step


def test_a_loss_that_explodes_from_the_first_step_is_detected(trainer_of, tmp_path):
    trainer = trainer_of(learning_rate=30, epochs=3, log_every_steps=20)
    with pytest.raises(GratisError, match=r"exploded|finite"):
        fit(trainer, tmp_path, RUN)


@pytest.mark.parametrize(
    "first, loss, refused",
    [
        (2.3, 22.9, False),
        (2.3, 23.1, True),
        (0.01, 9.9, False),  # the model knew something at first
        (0.01, 10.1, True),
        (2.3, NAN, True),
        (2.3, float("inf"), True),
    ],
)
def test_what_counts_as_divergence(first, loss, refused):
    means = {"loss": loss, "accuracy": 0.5}
    if not refused:
        return refuse_divergence(means, first)
    with pytest.raises(Divergence, match=r"exploded|finite"):
        refuse_divergence(means, first)
