"""What PGD on cross entropy misses and other attacks find is a sign, beyond what is usual."""

import numpy as np
import pytest
from torch import nn

import digits_models
from digits_models import EPSILON
from gratis.evaluation import EvaluateSettings, measure
from gratis.evaluation.attack_disagreement import attack_disagreement
from gratis.validation_sets import build, load

MARGIN, SQUARE = "margin against cross entropy", "square against gradients"


def failed(clean, pgd, margin, square, n=200):
    counts = {"clean": clean, "pgd": pgd, "pgd_margin": margin, "square": square}
    correct = {task: np.arange(n) < count for task, count in counts.items()}
    included = {"pgd_margin": correct["pgd"], "square": correct["pgd_margin"]}
    return {check.name for check in attack_disagreement(correct, included) if not check.passed}


@pytest.mark.parametrize(
    ("counts", "signs"),
    [
        ((180, 80, 76, 76), set()),
        ((100, 46, 34, 34), set()),  # many classes: PGD 23%, AutoAttack 17%
        ((180, 100, 40, 40), {MARGIN}),
        ((180, 20, 6, 6), set()),  # few survive, and 14 of 180 are not significantly above 5%
        ((180, 100, 99, 97), set()),
        ((180, 100, 99, 80), {SQUARE}),
        ((180, 160, 90, 20), {MARGIN, SQUARE}),
        ((180, 0, 0, 0), set()),
        ((0, 0, 0, 0), set()),
    ],
)
def test_a_sign_is_more_than_what_sound_models_show(counts, signs):
    assert failed(*counts) == signs


def test_suites_without_these_attacks_have_no_such_check():
    clean = np.ones(3, dtype=bool)
    assert attack_disagreement({"clean": clean, "fgsm": clean}, {}) == ()


class Times(nn.Module):
    """A network whose logits are so large that the softmax is one-hot."""

    def __init__(self, factor):
        super().__init__()
        self.net, self.factor = digits_models.natural(), factor

    def forward(self, images):
        return self.factor * self.net(images)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder, split = tmp_path_factory.mktemp("sets"), digits_models.digits().validation
    build(folder, split, False, None, EPSILON, 0)
    return load(folder, split)


@pytest.mark.parametrize("factor", [1, 15])
def test_a_temperature_does_not_hide_a_natural_model(factor, sets):
    split = digits_models.digits().validation
    found = measure(
        Times(factor), split, sets, EvaluateSettings(epsilon=EPSILON, images=200, pgd_steps=10), 0
    )
    assert not found.checks
    assert found.accuracies["pgd"] < 0.2
