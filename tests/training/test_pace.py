"""A budget of time: slow runs are shortened, and every schedule ends with the run."""

import json
from itertools import pairwise

import pytest
from pydantic import ValidationError

from gratis.training import TrainSettings, time_budget
from gratis.training import trainer as trainer_module
from gratis.training.fit import fit
from gratis.training.time_budget import Pace, Plan, Shortening, plan_after

RUN = {"run": "x"}
HALVING = {"linear": {"start": 1, "stop": 0}}


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("90s", 90),
        ("20m", 1200),
        ("1.5h", 5400),
        ("2gpuh", 7200),
        ("45", 45),
        (30, 30),
        (" .5 h ", 1800),
    ],
)
def test_how_a_duration_is_written(text, seconds):
    assert TrainSettings(budget=text).budget == seconds


@pytest.mark.parametrize("text", ["", "soon", "1d", "-5m", "0s", "1m30s", "m", 0, -1])
def test_what_is_not_a_duration(text):
    with pytest.raises(ValidationError):
        TrainSettings(budget=text)


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set: ``clock.now``."""

    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(time_budget, "time", made)
    return made


def test_a_run_on_time_is_not_shortened(clock):
    pace = Pace(100, 0, 0)
    for second in range(1, 100):
        clock.now = second
        assert pace.affordable(10 * second, 1000) is None


def test_a_run_that_slows_down_ends_within_the_budget(clock):
    """From 40 s on the machine is half as fast, and for ten seconds slower still."""
    pace, passes, planned, cuts = Pace(100, 0, 0), 0.0, 990.0, 0
    while passes < planned:
        clock.now += 0.1
        speed = 10 if clock.now < 40 else 3 if clock.now < 50 else 5
        passes += 0.1 * speed
        affordable = pace.affordable(passes, planned)
        if affordable is not None:
            assert passes <= affordable < planned
            planned, cuts = affordable, cuts + 1
    # Below 100, because the pace was slowest for an unknown time.
    assert 90 < clock.now < 105
    assert cuts < 20


def test_a_run_that_makes_no_passes_ends_at_once(clock):
    pace = Pace(100, 0, 0)
    clock.now = 50
    assert pace.affordable(0.0, 1000) == 0


def test_a_resumed_run_has_used_up_its_time(clock):
    pace = Pace(100, 90, 900)
    clock.now = 5
    assert pace.affordable(910, 2000) == pytest.approx(910 + 2 * 4)


def test_a_plan_spreads_the_remaining_progress():
    assert Plan(100).progress_at(25) == 0.25
    shortened = plan_after([Shortening(3, 1, 40, 0.4, 70)], 100)
    assert [shortened.progress_at(p) for p in (40, 55, 70, 80)] == pytest.approx([0.4, 0.7, 1, 1])
    spent = plan_after([Shortening(3, 1, 40, 0.4, 40)], 100)
    assert spent.progress_at(40) == 1
    assert plan_after([object()], 100) == Plan(100)


@pytest.fixture
def slow(monkeypatch):
    """Make fewer passes affordable once, at a given step."""

    def make(step, share):
        class Slow(Pace):
            def affordable(self, passes, planned):
                now = counted.get("step") == step and not counted.get("done")
                counted["done"] = counted.get("done") or now
                return passes + share * (planned - passes) if now else None

        counted = {}
        real = trainer_module.train_step

        def counting(train_state, batch, t, number, parts):
            counted["step"] = number
            return real(train_state, batch, t, number, parts)

        monkeypatch.setattr("gratis.training.fit.Pace", Slow)
        monkeypatch.setattr(trainer_module, "train_step", counting)

    return make


def lines(folder, kind):
    written = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in written if line["kind"] == kind]


def test_a_shortened_run_finishes_its_schedules(slow, trainer_of, tmp_path, caplog):
    caplog.set_level("INFO", "gratis")
    slow(step=10, share=0.5)
    trainer = trainer_of(learning_rate=HALVING, epochs=6, log_every=1, budget=60)
    whole = trainer.planned
    assert fit(trainer, tmp_path, RUN)
    (event,) = lines(tmp_path, "budget")
    assert event["planned"] == pytest.approx((whole + event["passes"]) / 2)
    assert trainer.position.passes == pytest.approx(event["planned"], abs=8)
    assert "slower than planned" in caplog.text
    rates = [line["learning_rate"] for line in lines(tmp_path, "step")]
    falls = [before - after for before, after in pairwise(rates)]
    assert falls[-1] == pytest.approx(2 * falls[0], rel=0.2)
    assert rates[-1] < 0.1


def test_a_resumed_run_stays_shortened(slow, trainer_of, tmp_path):
    """Stopped just after it was shortened, and resumed on a fast machine."""
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
        slow(step=10, share=0.5)
        trainer = trainer_of(learning_rate=HALVING, epochs=6, log_every=1, budget=60)
        left = iter([False] * 11) if name == "parts" else iter([])
        fit(trainer, tmp_path / name, RUN, lambda left=left, name=name: next(left, name == "parts"))
    slow(step=-1, share=1)
    resumed = trainer_of(learning_rate=HALVING, epochs=6, log_every=1, budget=60)
    assert fit(resumed, tmp_path / "parts", RUN)
    drop = {"images_per_second", "passes_per_second"}
    whole, parts = (
        [
            {k: v for k, v in line.items() if k not in drop}
            for line in lines(tmp_path / name, "step")
        ]
        for name in ("whole", "parts")
    )
    assert whole == parts
