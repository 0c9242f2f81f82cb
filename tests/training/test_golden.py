"""Losses of twenty steps, written down: whoever changes a number here changes how we train.

``golden/NAME.txt`` holds the total loss of each step, one a line, for every adversary with cross
entropy and for every objective with free training. After a deliberate change of behaviour write
them anew with ::

    GRATIS_WRITE_GOLDEN=1 uv run pytest tests/train/test_golden.py

look at the difference, and say in the CHANGELOG why they moved.

Bit for bit the same is promised on one machine only: another processor sums in another order. In
single precision that turns the sign of some gradient near zero within twenty steps, and one pixel
that moves the other way moves later losses by up to a hundredth. So these runs are in double
precision, where it does not happen (without AVX and oneDNN they differed by 5e-6), and agree to
``TOLERANCE`` everywhere; a changed rule moves them by more than a hundredth, and the last test
makes sure that it is seen.
"""

import os
from pathlib import Path

import pytest
from lightning_fabric import Fabric

from gratis.adversary import ADVERSARIES
from gratis.objective import TERMS
from gratis.run import build
from gratis.training import trainer as trainer_module

GOLDEN = Path(__file__).parent / "golden"
STEPS = 20
TOLERANCE = 1e-4  # relative

# Each combination moves every number that it has, so that the golden losses see it.
ADVERSARY = {
    "free": {
        "replays": {"steps": {0: 2, 0.5: 3}},
        "epsilon": {"linear": {"start": 0.02, "stop": 0.1}},
        "gamma": 0.8,
        "delta_momentum": 0.2,
    },
    "cached": {
        "replays": {"steps": {0: 1, 0.7: 2}},
        "epsilon": {"linear": {"start": 0.02, "stop": 0.1}},
    },
    "n_fgsm": {"epsilon": 0.05},
    "fgsm_rs": {"epsilon": 0.05},
    "pgd": {"epsilon": 0.05, "steps": 3},
}
OBJECTIVE = {
    "smoothing": {"cross_entropy": {"smoothing": 0.1}},
    "nt_xent": {"contrastive": {"kind": "nt_xent", "weight": 0.5}},
}
CASES = {name: (name, {}) for name in ADVERSARIES}
CASES |= {f"free-{name}": ("free", {name: {}}) for name in TERMS if name != "cross_entropy"}
CASES |= {f"free-{name}": ("free", content) for name, content in OBJECTIVE.items()}


def settings(name):
    """Return what ``trainer_of`` takes for a case."""
    word, terms = CASES[name]
    return {
        "adversary": {word: ADVERSARY.get(word, {})},
        "objective": {"cross_entropy": {}} | terms,
        "denoiser": "reconstruction" in terms,
        "count": "images",
        "learning_rate": {"cosine": {"start": 0.01, "stop": 0}},
    }


class Doubled:
    """Batches in double precision."""

    def __init__(self, batches):
        self.batches = batches
        self.image_count, self.largest = batches.image_count, batches.largest

    def __getitem__(self, number):
        batch = self.batches[number]
        batch.views = batch.images = batch.images.double()
        return batch


@pytest.fixture
def losses(trainer_of, monkeypatch, tmp_path):
    """Train for twenty steps and return their losses."""
    real, seen = trainer_module.train_step, []

    def fabric(**_):
        return Fabric(accelerator="cpu", devices=1, precision="64-true")

    def step(*arguments):
        report = real(*arguments)
        seen.append(float(report["loss"]))
        return report

    monkeypatch.setattr(build, "Fabric", fabric)
    monkeypatch.setattr(trainer_module, "train_step", step)

    def train(**own):
        trainer = trainer_of(epochs=STEPS / 8, **own)  # eight batches an epoch
        trainer.batches = Doubled(trainer.batches)
        trainer.run(tmp_path, {"run": "x"})
        return seen

    return train


def written(name):
    path = GOLDEN / f"{name}.txt"
    assert path.exists(), f"{path} is missing; the docstring of {Path(__file__).name} says how"
    return [float(line) for line in path.read_text().split()]


@pytest.mark.parametrize("name", CASES)
def test_losses_are_golden(name, losses):
    seen = losses(**settings(name))
    assert len(seen) == STEPS
    if os.environ.get("GRATIS_WRITE_GOLDEN"):
        (GOLDEN / f"{name}.txt").write_text("".join(f"{loss:.6f}\n" for loss in seen))
    for step, (loss, expected) in enumerate(zip(seen, written(name), strict=True)):
        assert loss == pytest.approx(expected, rel=TOLERANCE), f"step {step + 1}"


def test_there_is_no_golden_file_too_many():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("free", "delta_momentum", 0),
        ("free", "gamma", 1),
        ("free", "step_size", 0.02),
        ("free", "reset", True),
        ("cached", "replays", 1),
        ("cached", "step_size", 0.02),
        ("n_fgsm", "noise", 1),
        ("fgsm_rs", "step_size", 0.05),
        ("pgd", "steps", 2),
    ],
)
def test_a_changed_rule_is_seen(name, field, value, losses):
    own = settings(name)
    own["adversary"] = {name: ADVERSARY[name] | {field: value}}
    seen = zip(losses(**own), written(name), strict=True)
    assert max(abs(loss / expected - 1) for loss, expected in seen) > 100 * TOLERANCE
