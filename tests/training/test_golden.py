"""Golden losses of twenty steps: a change in these numbers is a change in how gratis trains.

``golden/NAME.txt`` has the total loss of each step, one per line, for every adversary with cross
entropy and for every objective with free training. After a deliberate change of behaviour, write
them again with ::

    GRATIS_WRITE_GOLDEN=1 uv run pytest tests/training/test_golden.py

check the difference, and explain it in the CHANGELOG.

Results are equal bit for bit on one machine only, because another processor sums in another order.
In single precision that flips the sign of some gradient near zero within twenty steps, and one
pixel that moves the other way changes later losses by up to a hundredth. These runs are therefore
in double precision, where this does not happen (without AVX and oneDNN they differed by 5e-6), and
agree to ``TOLERANCE`` everywhere. A changed rule moves them by more than a hundredth, as the last
test checks.
"""

import os
from pathlib import Path

import pytest
from lightning_fabric import Fabric

from gratis.adversary import ADVERSARIES
from gratis.data import batches, to_float
from gratis.objective import TERMS
from gratis.run import launch
from gratis.training import trainer as trainer_module
from gratis.training.fit import fit

GOLDEN = Path(__file__).parent / "golden"
STEPS = 20
TOLERANCE = 1e-4  # relative

# Every setting differs from its default, so that the golden losses depend on it.
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
    "assigned_fgsm": {"epsilon": 0.05, "source": "same_class"},
    "pgd": {"epsilon": 0.05, "steps": 3},
    "multi_norm": {"epsilon": 0.05, "epsilon_l2": 0.4, "replays": 2},
}
L2 = {"norm": "l2", "epsilon": {"linear": {"start": 0.1, "stop": 0.4}}}
OBJECTIVE = {
    "smoothing": {"cross_entropy": {"smoothing": 0.1}},
    "nt_xent": {"contrastive": {"kind": "nt_xent", "weight": 0.5}},
    "clean": {"cross_entropy": {"views": "clean"}, "trades": {}},
}
CASES = {name: (name, {}) for name in ADVERSARIES}
CASES |= {f"free-{name}": ("free", {name: {}}) for name in TERMS if name != "cross_entropy"}
CASES |= {f"free-{name}": ("free", content) for name, content in OBJECTIVE.items()}
CASES |= {f"{name}-l2": (name, {}) for name in ("free", "cached", "n_fgsm", "fgsm_rs", "pgd")}


def settings(name):
    """Return the arguments of ``trainer_of`` for a case."""
    word, terms = CASES[name]
    return {
        "adversary": {word: ADVERSARY.get(word, {}) | (L2 if name.endswith("-l2") else {})},
        "objective": {"cross_entropy": {}} | terms,
        "denoiser": "reconstruction" in terms,
        "epoch_unit": "images",
        "learning_rate": {"cosine": {"start": 0.01, "stop": 0}},
    }


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

    def to_double(pixels, device):
        return to_float(pixels, device).double()

    monkeypatch.setattr(launch, "Fabric", fabric)
    monkeypatch.setattr(batches, "to_float", to_double)
    monkeypatch.setattr(trainer_module, "train_step", step)

    def train(**own):
        trainer = trainer_of(epochs=STEPS / 8, **own)  # eight batches an epoch
        fit(trainer, tmp_path, {"run": "x"})
        return seen

    return train


def golden(name):
    path = GOLDEN / f"{name}.txt"
    assert path.exists(), f"{path} is missing; the docstring of {Path(__file__).name} says how"
    return [float(line) for line in path.read_text().split()]


@pytest.mark.parametrize("name", CASES)
def test_losses_are_golden(name, losses):
    seen = losses(**settings(name))
    assert len(seen) == STEPS
    if os.environ.get("GRATIS_WRITE_GOLDEN"):
        (GOLDEN / f"{name}.txt").write_text("".join(f"{loss:.6f}\n" for loss in seen))
    for step, (loss, expected) in enumerate(zip(seen, golden(name), strict=True)):
        assert loss == pytest.approx(expected, rel=TOLERANCE), f"step {step + 1}"


def test_every_golden_file_has_a_case():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("free", "delta_momentum", 0),
        ("free", "gamma", 1),
        ("free", "step_size", 0.02),
        ("free", "reset_delta", True),
        ("cached", "replays", 1),
        ("cached", "step_size", 0.02),
        ("n_fgsm", "noise", 1),
        ("fgsm_rs", "step_size", 0.05),
        ("assigned_fgsm", "source", "same"),
        ("pgd", "steps", 2),
    ],
)
def test_a_changed_rule_changes_the_losses(name, field, value, losses):
    own = settings(name)
    own["adversary"] = {name: ADVERSARY[name] | {field: value}}
    seen = zip(losses(**own), golden(name), strict=True)
    assert max(abs(loss / expected - 1) for loss, expected in seen) > 100 * TOLERANCE
