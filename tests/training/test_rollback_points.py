"""A rollback goes back to the same position, whatever the clock says and however often stopped."""

import itertools
import json
import random
from contextlib import suppress

import pytest
import torch
from safetensors.torch import load_file

from gratis.errors import Interrupted
from gratis.training import rollback_points
from gratis.training import trainer as trainer_module
from gratis.training.fit import fit
from gratis.training.rollback_points import RollbackPoints

RUN = {"run": "x"}
CLOCKS = {"images_per_second", "passes_per_second"}
OFTEN, NEVER = 1e-9, 1e9
COLLAPSE = {"clean": 0.9, "fgsm": 0.8, "pgd": 0.01}
ROBUST = {"clean": 0.9, "fgsm": 0.8, "pgd": 0.7}


@pytest.fixture(autouse=True)
def short_distance(monkeypatch):
    """The runs of these tests have about 30 steps: points are every four steps."""
    monkeypatch.setattr(rollback_points, "_STEPS", 4)


@pytest.fixture
def diverging(monkeypatch):
    """Make the loss of steps 13 and 14, and of 22, infinite until the rate is below a limit."""
    real = trainer_module.train_step

    def step(train_state, batch, t, number, micro_batches):
        values = real(train_state, batch, t, number, micro_batches)
        rate = train_state.optimizer.param_groups[0]["lr"]
        if (number in (13, 14) and rate == 0.02) or (number == 22 and rate > 0.005):
            values["loss"] = torch.tensor(torch.inf)
        return values

    monkeypatch.setattr(trainer_module, "train_step", step)


def stop_after(steps):
    """Return a function that is true after that many calls; never, for ``None``."""
    left = itertools.repeat(False) if steps is None else iter([False] * steps)
    return lambda: next(left, True)


def log(folder):
    written = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if k not in CLOCKS} for line in written]


def train(make, folder, stops=()):
    """Train in a new process's state after each stop; return the log and the weights."""
    folder.mkdir()
    for steps in (*stops, None):
        # Between an infinite loss and the next line of the log a stop saves nothing.
        with suppress(Interrupted):
            fit(make(), folder, RUN, stop_after(steps))
    return log(folder), load_file(folder / "checkpoint.safetensors")


def assert_same(one, other):
    assert one[0] == other[0]
    assert one[1].keys() == other[1].keys()
    assert not [name for name in one[1] if not torch.equal(one[1][name], other[1][name])]


@pytest.mark.parametrize("adversary, epochs", [("free", 4), ("cached", 4), ("n_fgsm", 8)])
def test_the_clock_and_stops_do_not_change_where_a_rollback_goes(
    adversary, epochs, diverging, trainer_of, tmp_path
):
    def make(minutes):
        own = {"checkpoint_every_minutes": minutes, "average": 0.9, "epochs": epochs}
        return lambda: trainer_of(adversary, **own)

    whole = train(make(NEVER), tmp_path / "whole")
    back = [(line["step"], line["to_step"]) for line in whole[0] if line["kind"] == "rollback"]
    assert [step for step, _ in back] == [15, 24] and all(0 < to < step for step, to in back)
    assert_same(whole, train(make(OFTEN), tmp_path / "often"))
    draw = random.Random(adversary)
    for number in range(4):
        stops = [draw.randint(0, 9) for _ in range(6)]
        parts = train(make(draw.choice([OFTEN, NEVER])), tmp_path / f"stopped {number}", stops)
        assert_same(whole, parts)


@pytest.mark.parametrize("stop", [14, 15])
def test_a_stop_between_the_divergence_and_its_detection_changes_nothing(
    stop, diverging, trainer_of, tmp_path
):
    whole = train(lambda: trainer_of("free"), tmp_path / "whole")
    assert_same(whole, train(lambda: trainer_of("free"), tmp_path / "stopped", [stop]))


def test_a_process_killed_while_it_saves_a_point_changes_nothing(
    diverging, trainer_of, tmp_path, monkeypatch
):
    """Killed after the rollback point and before the newest checkpoint."""
    whole = train(lambda: trainer_of("free"), tmp_path / "whole")
    real, copies = rollback_points.checkpoint_file.copy, []

    def copy(path, to, **options):
        copies.append(to)
        if len(copies) == 3:
            raise KeyboardInterrupt
        return real(path, to, **options)

    monkeypatch.setattr(rollback_points.checkpoint_file, "copy", copy)
    folder = tmp_path / "killed"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        fit(trainer_of("free"), folder, RUN)
    assert fit(trainer_of("free"), folder, RUN)
    assert_same(whole, (log(folder), load_file(folder / "checkpoint.safetensors")))


def test_overfitting_goes_back_to_the_same_step_after_stops(trainer_of, fake_monitor, tmp_path):
    class Monitor(fake_monitor):
        def __init__(self, trainer):
            self.trainer = trainer

        def __call__(self, model):
            position = self.trainer.position
            return COLLAPSE if position.steps > 10 and not position.events else ROBUST

    found = []
    for stops in ([], [3, 5, 4], [9, 1, 1, 1]):
        folder = tmp_path / str(stops)
        folder.mkdir()
        for steps in (*stops, None):
            trainer = trainer_of("free", on_overfitting="rollback", epochs=4)
            fit(trainer, folder, RUN, stop_after(steps), Monitor(trainer))
        found.append((log(folder), load_file(folder / "checkpoint.safetensors")))
    assert sum(line["kind"] == "rollback" for line in found[0][0]) == 1
    assert_same(found[0], found[1])
    assert_same(found[0], found[2])


def test_a_finished_run_keeps_no_checkpoints_to_go_back_to(trainer_of, tmp_path):
    fit(trainer_of(), tmp_path, RUN, stop_after(9))
    assert (tmp_path / "checkpoint.rollback.safetensors").exists()
    assert fit(trainer_of(), tmp_path, RUN)
    kept = {"checkpoint.safetensors", "checkpoint.previous.safetensors", "metrics.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_run_that_an_earlier_version_began_goes_back_to_its_newest_checkpoint(
    diverging, trainer_of, tmp_path
):
    fit(trainer_of(), tmp_path, RUN, stop_after(13))
    for path in tmp_path.glob("checkpoint.rollback*"):
        path.unlink()
    assert fit(trainer_of(), tmp_path, RUN)
    assert log(tmp_path)[-1]["kind"] == "epoch"
    (first, *_) = [line for line in log(tmp_path) if line["kind"] == "rollback"]
    assert first["to_step"] == 13


@pytest.mark.parametrize("planned, step, between", [(1e6, 128, 5e4), (1e4, 128, 512)])
def test_points_are_a_share_of_the_run_or_a_number_of_steps_apart(planned, step, between, tmp_path):
    points = RollbackPoints(tmp_path, planned, step)
    passes = [number * step for number in range(int(planned / step) + 1)]
    reached = [b for a, b in itertools.pairwise(passes) if points.due(a, b)]
    assert len(reached) == int(passes[-1] / between)
    assert all(0 <= b - (n + 1) * between < step for n, b in enumerate(reached))


def test_another_number_of_threads_is_said(trainer_of, tmp_path, caplog, monkeypatch):
    fit(trainer_of(), tmp_path, RUN, stop_after(3))
    assert "threads" not in caplog.text
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert fit(trainer_of(), tmp_path, RUN)
    assert "trained on 1 threads and continues on 3" in caplog.text
    assert "low bits of the weights change; OMP_NUM_THREADS=1" in caplog.text
