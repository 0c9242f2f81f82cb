"""A budget of time: a run uses it up at any pace, and every schedule ends with the run."""

import json
import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gratis.training import TrainSettings, fit, save_policy, time_budget, training_log
from gratis.training import trainer as trainer_module
from gratis.training.fit import fit as fit_run
from gratis.training.pacing import Pacing
from gratis.training.time_budget import NewPlan, Pace, Plan, plan_after

RUN = {"run": "x"}
FALLING = {"linear": {"start": 1, "stop": 0}}
CLEAN = {"clean": 0.9, "fgsm": 0.5, "pgd": 0.4}


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


def test_a_plan_spreads_the_remaining_progress():
    assert Plan(100).progress_at(25) == 0.25
    assert Plan(math.inf).progress_at(25) == 0
    changed = plan_after([NewPlan(3, 1, 40, 0.4, 70)], 100)
    assert [changed.progress_at(p) for p in (40, 55, 70, 80)] == pytest.approx([0.4, 0.7, 1, 1])
    spent = plan_after([NewPlan(3, 1, 40, 0.4, 40)], 100)
    assert spent.progress_at(40) == 1
    assert plan_after([object()], 100) == Plan(100)


class Machine:
    """A simulated clock, moved by what a run does on a machine of a given speed."""

    def __init__(self, step, monitor=0.0, saving=0.0, first=None):
        self.now, self.steps = 0.0, 0
        self._step, self._monitor, self._saving, self._first = step, monitor, saving, first

    def monotonic(self):
        return self.now

    def train(self):
        """Move by one step; ``step`` is the seconds of a step, or a function of the time."""
        self.steps += 1
        seconds = self._step(self.now) if callable(self._step) else self._step
        self.now += self._first if self._first and self.steps == 1 else seconds

    def measure(self, monitor):
        self.now += self._monitor

    def save(self):
        self.now += self._saving


@pytest.fixture
def on(monkeypatch):
    """Let training run on a :class:`Machine`."""

    def use(machine):
        clock = SimpleNamespace(monotonic=machine.monotonic, perf_counter=machine.monotonic)
        for module in (time_budget, training_log, fit, save_policy):
            monkeypatch.setattr(module, "time", clock)
        step, write = trainer_module.train_step, trainer_module.checkpoint.save

        def timed_step(*arguments):
            machine.train()
            return step(*arguments)

        def timed_write(*arguments):
            machine.save()
            return write(*arguments)

        monkeypatch.setattr(trainer_module, "train_step", timed_step)
        monkeypatch.setattr(trainer_module.checkpoint, "save", timed_write)
        return machine

    return use


@pytest.fixture
def monitor_of(fake_monitor):
    """A monitor that moves the clock of a machine."""

    def make(machine):
        class Timed(fake_monitor):
            images = 4

            def __call__(self, model):
                machine.measure(self)
                return super().__call__(model)

        return Timed(CLEAN)

    return make


def lines(folder, kind):
    written = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in written if line["kind"] == kind]


def slower_later(now):
    return 0.05 if now < 8 else 0.2


def faster_later(now):
    return 0.2 if now < 8 else 0.05


def uneven(now):
    """Twice as slow in every third second, as beside other work."""
    return 0.1 if int(now) % 3 == 0 else 0.05


MACHINES = {
    "even": {"step": 0.05},
    "long steps": {"step": 0.9},
    "slower later": {"step": slower_later},
    "faster later": {"step": faster_later},
    "uneven": {"step": uneven},
    "slow first step": {"step": 0.05, "first": 4.0},
    "slow monitor": {"step": 0.05, "monitor": 0.8},
    "slow saving": {"step": 0.05, "saving": 0.5},
}


def simulated(machine, clock, seconds, between=math.inf, monitor_passes=0.0):
    """Run a :class:`Pace` on a machine to the end of its last plan; return how many it made."""
    clock.monotonic = machine.monotonic
    machine.save()
    ending, passes, planned, pace, plans = machine.now, 0.0, math.inf, None, 0
    while planned - passes > 0.5:
        machine.train()
        passes += 1
        pace = pace or Pace(seconds, machine.now, passes, monitor_passes, between)
        if (changed := pace.plan(passes, planned, ending)) is not None:
            planned, plans = changed, plans + 1
        if passes // between > (passes - 1) // between and planned - passes > 0.5:
            started = machine.now
            machine.measure(None)
            pace.note_monitor(machine.now - started)
    machine.measure(None)
    machine.save()
    return plans


@pytest.fixture
def clock(monkeypatch):
    made = SimpleNamespace(monotonic=None)
    monkeypatch.setattr(time_budget, "time", made)
    return made


@pytest.mark.parametrize("between", [30, math.inf])
@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_a_budget_is_used_up(machine, between, clock):
    made = Machine(**machine)
    # The cost of the monitor is known in advance to within a factor of two.
    passes = machine.get("monitor", 0) / 0.05 / 1.9
    plans = simulated(made, clock, 20, between, passes)
    assert made.now == pytest.approx(20, abs=1)
    # A plan is corrected where the pace changes, and not at every step.
    assert 1 <= plans <= 30


@given(st.integers(0, 1000), st.floats(5, 5000), st.floats(20, 2000), st.floats(0.1, 10))
def test_any_budget_at_any_pace(seed, seconds, steps, drift):
    """The noise of a step is up to a factor of four, and the pace drifts by a factor of ten."""
    random, longest = np.random.default_rng(seed), [0.0]

    def step(now):
        share = min(1.0, now / seconds)
        longest.append(seconds / steps * (1 + (drift - 1) * share) * random.uniform(0.5, 2))
        return longest[-1]

    with pytest.MonkeyPatch.context() as patch:
        clock, machine = SimpleNamespace(monotonic=None), Machine(step)
        patch.setattr(time_budget, "time", clock)
        simulated(machine, clock, seconds)
    assert abs(machine.now - seconds) <= 0.05 * seconds + 2 * max(longest[-5:])


def test_a_resumed_run_has_used_up_part_of_its_time(on):
    machine = on(Machine(1))
    pace, planned = Pace(100, 90, 900, 0, math.inf), None
    for second in range(1, 5):
        machine.now = second
        planned = planned or pace.plan(900 + 2 * second, 2000)
    assert planned == pytest.approx(902 + 2 * 9)


# With fewer steps, because here they are true ones.
SLOW = {
    "slower later": {"step": lambda now: 0.2 if now < 8 else 0.5},
    "faster later": {"step": lambda now: 0.5 if now < 8 else 0.2},
    "slow monitor": {"step": 0.3, "monitor": 0.8, "saving": 0.1},
}


@pytest.mark.parametrize("name", SLOW)
def test_the_schedules_end_with_the_run(name, on, trainer_of, monitor_of, tmp_path):
    trainer = trainer_of(
        learning_rate=FALLING, log_every_steps=1, budget=20, monitor_every_epochs=2
    )
    machine = on(Machine(**SLOW[name]))
    assert fit_run(trainer, tmp_path, RUN, monitor=monitor_of(machine))
    assert machine.now == pytest.approx(20, abs=1)
    rates = [line["learning_rate"] for line in lines(tmp_path, "step")]
    assert all(after <= before for before, after in pairwise(rates))
    # The last step is at the end of the schedule, but for its own length.
    assert rates[-1] <= 2 * (rates[-2] - rates[-1]) + 0.01
    assert trainer.position.passes == pytest.approx(trainer.planned, abs=8)


def test_a_run_without_a_budget_has_no_pace(trainer_of):
    assert not Pacing(trainer_of(), None).after_step(1e9, 0)


@pytest.mark.parametrize("stop", [1, 3, 25])
def test_a_resumed_run_keeps_its_plans(stop, on, trainer_of, monitor_of, tmp_path):
    """Stopped and resumed; the clock of the machine goes on as in the whole run."""
    machine = {"step": lambda now: 0.4 if int(now) % 3 else 0.2, "monitor": 0.2}
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
        clock = on(Machine(**machine))
        left = iter([False] * stop) if name == "parts" else iter([])
        trainer = trainer_of(learning_rate=FALLING, log_every_steps=1, budget=20)
        fit_run(
            trainer,
            tmp_path / name,
            RUN,
            lambda left=left, name=name: next(left, name == "parts"),
            monitor_of(clock),
        )
    before = lines(tmp_path / "parts", "budget")
    resumed = trainer_of(learning_rate=FALLING, log_every_steps=1, budget=20)
    assert fit_run(resumed, tmp_path / "parts", RUN, monitor=monitor_of(clock))
    assert lines(tmp_path / "parts", "budget")[: len(before)] == before
    assert len(resumed.position.events) == len(lines(tmp_path / "parts", "budget"))
    whole, parts = (
        [line["learning_rate"] for line in lines(tmp_path / name, "step")]
        for name in ("whole", "parts")
    )
    # Up to the stop every step is the same; after it the clock decides again.
    assert whole[:stop] == parts[:stop]
    assert abs(clock.now - 20) <= 1
    assert parts[-1] < 0.05


def test_given_plans_decide_everything(on, trainer_of, tmp_path):
    """A run with the plans of another one makes the same steps, whatever the clock says."""
    on(Machine(lambda now: 0.4 if int(now) % 3 else 0.2))
    first = trainer_of(learning_rate=FALLING, log_every_steps=1, budget=20)
    assert fit_run(first, tmp_path, RUN)
    plans = {event.step: event for event in first.position.events}
    again = trainer_of(learning_rate=FALLING, log_every_steps=1, budget=20)
    rates = []
    while not again.finished:
        again.step()
        rates.append(again.scheduled["learning_rate"])
        if again.position.steps in plans:
            again.position.events.append(plans[again.position.steps])
    assert rates == [line["learning_rate"] for line in lines(tmp_path, "step")]
    for name, weight in first.train_state.module.state_dict().items():
        assert weight.equal(again.train_state.module.state_dict()[name]), name


def test_large_changes_of_the_plan_are_reported(on, trainer_of, tmp_path, caplog):
    caplog.set_level("INFO", "gratis")
    on(Machine(**SLOW["slower later"]))
    assert fit_run(trainer_of(budget=20), tmp_path, RUN)
    assert "epochs fit the budget of 20 s" in caplog.text
    assert "slower than planned" in caplog.text
    assert "faster than planned" not in caplog.text


@pytest.mark.parametrize(("budget", "level"), [(4, "WARNING"), (60, "INFO")])
def test_less_than_one_epoch_is_a_warning_with_a_remedy(
    on, trainer_of, tmp_path, caplog, budget, level
):
    caplog.set_level("INFO", "gratis")
    on(Machine(step=1))
    assert fit_run(trainer_of(budget=budget), tmp_path, RUN)
    (planned,) = (line for line in caplog.records if "fit the budget" in line.message)
    assert planned.levelname == level
    assert ("model.input_size" in planned.message) is (level == "WARNING")
