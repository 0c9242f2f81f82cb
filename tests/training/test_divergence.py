"""Numerical divergence: back to the last good checkpoint with half the rate, or a clear stop."""

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


def lines(folder, kind):
    written = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in written if line["kind"] == kind]


@pytest.fixture
def spoilt(monkeypatch):
    """Let the steps for which ``spoilt(step, rate)`` is true report another loss."""

    def spoil(when, loss):
        real = trainer_module.train_step

        def step(train_state, batch, t, number, parts):
            values = real(train_state, batch, t, number, parts)
            if when(number, train_state.optimizer.param_groups[0]["lr"]):
                values["loss"] = torch.tensor(loss)
            return values

        monkeypatch.setattr(trainer_module, "train_step", step)

    return spoil


@pytest.mark.parametrize("loss", [NAN, EXPLODED])
def test_training_goes_back_and_on_with_half_the_rate(loss, spoilt, trainer_of, tmp_path, caplog):
    spoilt(lambda step, rate: step == 13 and rate == 0.02, loss)
    trainer = trainer_of("free", epochs=4)
    assert fit(trainer, tmp_path, RUN)
    (event,) = lines(tmp_path, "rollback")
    assert [asdict(each) for each in trainer.position.events] == [event]
    # Found at the first line after step 13, that is after 15 steps.
    assert (event["step"], event["rate_factor"]) == (15, 0.5)
    assert event["to_step"] <= 13
    assert "back to epoch" in caplog.text
    steps = lines(tmp_path, "step")
    assert [line["step"] for line in steps[:-1]] == list(range(3, steps[-2]["step"] + 1, 3))
    rates = [line["learning_rate"] for line in steps if line["step"] > event["to_step"] + 3]
    assert set(rates) == {0.01}
    assert trainer.position.passes == pytest.approx(trainer.planned, abs=8)


def test_the_weights_are_those_of_the_checkpoint_gone_back_to(spoilt, trainer_of, tmp_path):
    for name in ("whole", "rolled back"):
        (tmp_path / name).mkdir()
    halved = trainer_of("free", epochs=3)
    halved.position.events = [Rollback(0, 0, 0, 0, "", 0.5)]  # half the rate from the beginning
    fit(halved, tmp_path / "whole", RUN)
    spoilt(lambda step, rate: step == 2 and rate == 0.02, NAN)
    trainer = trainer_of("free", epochs=3)
    fit(trainer, tmp_path / "rolled back", RUN)
    assert trainer.position.events[0].to_step == 0
    expected = halved.train_state.module.state_dict()
    for name, tensor in trainer.train_state.module.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_after_three_times_it_stops_and_the_last_good_checkpoint_stays(
    spoilt, trainer_of, tmp_path
):
    spoilt(lambda step, rate: step == 13, NAN)
    trainer = trainer_of("free", epochs=4)
    with pytest.raises(GratisError, match=r"no longer finite after epoch 1\.8, 3 times after"):
        fit(trainer, tmp_path, RUN)
    assert [line["rate_factor"] for line in lines(tmp_path, "rollback")] == [0.5, 0.25, 0.125]
    # The next leg has not forgotten.
    with pytest.raises(GratisError, match="3 times after"):
        fit(trainer_of("free", epochs=4), tmp_path, RUN)
    assert len(lines(tmp_path, "rollback")) == 3


@pytest.mark.parametrize("log_every", [2, 1000], ids=["logged", "between two lines"])
def test_stopping_instead_says_how_to_go_on(log_every, trainer_of, tmp_path):
    trainer = trainer_of(learning_rate=1e25, epochs=2, log_every=log_every, on_divergence="stop")
    with pytest.raises(GratisError, match=r"no longer finite.*--on-divergence rollback.*rate"):
        fit(trainer, tmp_path, RUN)
    assert fit(trainer_of(epochs=2), tmp_path, RUN)


def test_a_rate_that_is_far_too_high_comes_to_an_end(trainer_of, tmp_path):
    with pytest.raises(GratisError, match="3 times after going back"):
        fit(trainer_of(learning_rate=1e25, epochs=2), tmp_path, RUN)


def test_a_event_is_not_taken_anew_after_a_death(spoilt, trainer_of, monkeypatch, tmp_path):
    """Die in the very next step after a rollback: the next leg goes on with half the rate."""
    spoilt(lambda step, rate: step == 13 and rate == 0.02, NAN)
    sound = trainer_module.train_step
    trainer = trainer_of("free", epochs=4)

    def dies(*arguments):
        if trainer.position.events:
            raise KeyboardInterrupt
        return sound(*arguments)

    monkeypatch.setattr(trainer_module, "train_step", dies)
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
    """The loss of a step is taken before its update: the update may spoil what is saved."""
    real = trainer_module.train_step

    def step(train_state, batch, t, number, parts):
        values = real(train_state, batch, t, number, parts)
        if number == 4 and train_state.optimizer.param_groups[0]["lr"] == 0.02:
            with torch.no_grad():
                next(train_state.module.parameters()).fill_(torch.inf)
        return values

    monkeypatch.setattr(trainer_module, "train_step", step)
    left = iter([False] * 5)
    stopped = trainer_of(epochs=3, log_every=1000)
    with pytest.raises(Interrupted, match=r"stopped after epoch 0\.6 without saving, because"):
        fit(stopped, tmp_path, RUN, lambda: next(left, True))
    assert stopped.position.steps == 5
    resumed = trainer_of(epochs=3, log_every=1000)
    assert fit(resumed, tmp_path, RUN)
    (event,) = lines(tmp_path, "rollback")
    assert "finite" in event["reason"]


def test_weights_that_are_not_finite_from_the_beginning_are_named(trainer_of, tmp_path):
    trainer = trainer_of()
    with torch.no_grad():
        next(trainer.train_state.module.parameters()).fill_(torch.nan)
    with pytest.raises(GratisError, match=r"finite before training began; check model\.weights"):
        fit(trainer, tmp_path, RUN)


@pytest.mark.parametrize("choice", ["warn", "stop", "rollback"])
def test_what_is_done_about_overfitting_is_a_choice(choice, trainer_of, tmp_path, caplog):
    trainer = trainer_of("n_fgsm", epochs=4, on_overfitting=choice)
    looks = iter([COLLAPSE])
    sound = {"clean": 0.9, "fgsm": 0.8, "pgd": 0.7}
    monitor = lambda model: next(looks, sound)  # noqa: E731
    if choice == "stop":
        with pytest.raises(GratisError, match=r"catastrophic overfitting.*lower epsilon"):
            fit(trainer, tmp_path, RUN, monitor=monitor)
        return
    assert fit(trainer, tmp_path, RUN, monitor=monitor)
    assert "catastrophic overfitting" in caplog.text
    assert len(trainer.position.events) == (choice == "rollback")


def test_a_collapse_goes_back_to_before_it_whatever_was_saved_since(trainer_of, tmp_path):
    """A checkpoint at every line of the log, but a look only at the ends of epochs."""
    often = {"log_every": 1, "checkpoint_minutes": 1e-9, "epochs": 4}
    trainer = trainer_of("free", on_overfitting="rollback", **often)

    def look(model):
        # Collapsed from step 10 on, until the rate is halved.
        collapsed = trainer.position.steps > 10 and not trainer.position.events
        return COLLAPSE if collapsed else {"clean": 0.9, "fgsm": 0.8, "pgd": 0.7}

    assert fit(trainer, tmp_path, RUN, monitor=look)
    (event,) = trainer.position.events
    assert event.to_step <= 10 < event.step


def test_an_explosion_from_the_first_step_is_noticed(trainer_of, tmp_path):
    trainer = trainer_of(learning_rate=30, epochs=3, log_every=20)
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
