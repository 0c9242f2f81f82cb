"""Logits and gradients that are not finite neither count as an answer nor stop an attack."""

import numpy as np
import pytest
import torch
from torch import nn

import digits_models
from digits_models import EPSILON
from gratis.attacks import AttackSettings, attack, frozen, input_gradient, is_correct, run_attack
from gratis.data import to_float
from gratis.evaluation import EvaluateSettings, measure
from gratis.evaluation.autoattack import AutoAttack
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.sanity_checks import run_checks
from gratis.training.monitor import OverfittingMonitor
from gratis.validation_sets import build, load

NOT_FINITE = [float("nan"), float("inf"), -float("inf")]


class NoAnswer(nn.Module):
    """A network whose logits are ``value`` for images that are not whole pixel values."""

    def __init__(self, value):
        super().__init__()
        self.net, self.value = digits_models.robust(), value

    def forward(self, images):
        off = ((images * 255).round() / 255 - images).abs().amax((1, 2, 3)) > 1e-5
        return self.net(images).masked_fill(off[:, None], self.value)


class BrokenGradient(torch.autograd.Function):
    """The identity, whose gradient is ``value`` in the first two columns."""

    @staticmethod
    def forward(context, images, value):
        context.value = value
        return images.clone()

    @staticmethod
    def backward(context, gradient):
        gradient = gradient.clone()
        gradient[..., :2] = context.value
        return gradient, None


class Broken(nn.Module):
    """A network whose input gradient is not finite at some pixels."""

    def __init__(self, net, value):
        super().__init__()
        self.net, self.value = net, value

    def forward(self, images):
        return self.net(BrokenGradient.apply(images, self.value))


@pytest.fixture(scope="module")
def first_class():
    """Images of class 0, which a row of NaN would be taken for."""
    split = digits_models.digits().validation
    index = np.flatnonzero(split.labels == 0)[:8]
    return to_float(split.images[index], "cpu"), torch.zeros(len(index), dtype=torch.int64)


@pytest.mark.parametrize("value", NOT_FINITE)
def test_logits_that_are_not_finite_are_never_right(value):
    logits = torch.tensor([[2.0, 1.0], [value, 1.0], [2.0, value]])
    assert is_correct(logits, torch.zeros(3, dtype=torch.int64)).tolist() == [True, False, False]


@pytest.mark.parametrize("until_fooled", [False, True])
@pytest.mark.parametrize("value", NOT_FINITE)
def test_an_attack_counts_them_as_fooled(first_class, value, until_fooled):
    settings = AttackSettings(epsilon=EPSILON, steps=2, restarts=2, until_fooled=until_fooled)
    model = NoAnswer(value)
    with frozen(model):
        assert run_attack(model, *first_class, settings).fooled.all()


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("suite", ["table", "standard"])
def test_every_metric_counts_them_as_wrong(tmp_path, value, suite):
    split = digits_models.digits().validation
    split = split.take(np.flatnonzero(split.labels == 0)[:12])
    build(tmp_path, split, False, None, EPSILON, 0)
    settings = EvaluateSettings(suite=suite, epsilon=EPSILON, pgd_steps=2)
    found = measure(NoAnswer(value), split, load(tmp_path, split), settings, 0).correct
    assert found["clean"].all()
    assert not found["pgd"].any()
    if suite == "standard":
        assert not found["robust"].any() and not found["robust_l2"].any()


def test_autoattack_counts_them_as_fooled():
    pytest.importorskip("pyautoattack")
    model = NoAnswer(float("nan"))
    split = digits_models.digits().validation
    index = np.flatnonzero(split.labels == 0)[:8]
    # Not a whole pixel value.
    task = AutoAttack(name="square", threat="robust", part="square", epsilon=0.1)
    with frozen(model):
        assert not task.run(EvaluatedModel(model, split, {}, 0), index).correct.any()


def test_the_monitor_and_the_checks_count_them_as_wrong(first_class):
    model = NoAnswer(float("nan"))
    assert OverfittingMonitor(*first_class, EPSILON, 0, 8)(model)["pgd"] == 0
    split = digits_models.digits().validation
    with frozen(model):
        checks = run_checks(EvaluatedModel(model, split, {}, 0), np.arange(60), EPSILON, 60)
    figures = {check.name: check.figures for check in checks}
    assert figures["more steps"] == {"fooled by PGD-5": 1, "fooled by PGD-50": 1}


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_gradient_that_is_not_finite_somewhere_is_followed_elsewhere(value, norm):
    split = digits_models.digits().validation
    images, labels = to_float(split.images[:60], "cpu"), torch.from_numpy(split.labels[:60])
    settings = AttackSettings(epsilon=1.0 if norm == "l2" else EPSILON, norm=norm, steps=5)
    net = digits_models.natural()
    models = Broken(net, 0.0), Broken(net, value)
    for model in models:
        with frozen(model):
            assert input_gradient(model, images, labels).isfinite().all()
    zero, broken = (attack(model, images, labels, settings) for model in models)
    assert torch.equal(zero, broken) and broken.isfinite().all()
    assert not is_correct(net(broken), labels).all()
