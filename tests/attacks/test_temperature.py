"""A temperature inside the model changes what an attack finds by nothing."""

import pytest
import torch

import digits_models
from digits_models import EPSILON
from gratis.attacks import (
    AttackSettings,
    attack,
    cross_entropy,
    frozen,
    input_gradient,
    is_correct,
)
from gratis.data import to_float

ATTACKS = {
    "fgsm": AttackSettings.fgsm(EPSILON / 2),
    "pgd": AttackSettings.pgd(EPSILON / 2),
    "pgd l2": AttackSettings(epsilon=0.5, norm="l2"),
}


def accuracy(net, settings, temperature):
    split = digits_models.digits().validation
    images, labels = to_float(split.images[:200], "cpu"), torch.from_numpy(split.labels[:200])
    with frozen(net):
        attacked = attack(lambda x: temperature * net(x), images, labels, settings)
        return float(is_correct(net(attacked), labels).double().mean())


@pytest.mark.parametrize(
    "temperature", [1e-6, 1e-4, 1e-3, 1e-2, 0.02, 4, 10, 20, 40, 1e2, 1e4, 1e6]
)
@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("net", [digits_models.natural, digits_models.robust])
def test_logits_of_any_scale_are_attacked_alike(net, name, temperature):
    usual = accuracy(net(), ATTACKS[name], 1)
    assert accuracy(net(), ATTACKS[name], temperature) <= usual + 0.03


def test_the_loss_is_continuous_in_the_range_of_the_logits():
    logits = torch.tensor([[0.0, 0.3, 1.0]], dtype=torch.float64)
    ranges = torch.logspace(-30, 30, 1_000_001, dtype=torch.float64)
    loss = cross_entropy(logits * ranges[:, None], torch.zeros(len(ranges), dtype=torch.int64))
    assert loss.isfinite().all() and loss.diff().abs().max() < 0.2


def test_usual_logits_have_their_own_cross_entropy():
    logits = torch.randn(100, 10, generator=torch.Generator().manual_seed(0)) * 8
    labels = torch.arange(100) % 10
    found, expected = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    assert (logits.amax(1) - logits.amin(1)).min() > 1
    loss = cross_entropy(found, labels)
    plain = torch.nn.functional.cross_entropy(expected, labels, reduction="none")
    loss.sum().backward()
    plain.sum().backward()
    assert torch.equal(loss, plain) and torch.equal(found.grad, expected.grad)


def test_training_ascends_the_cross_entropy_of_small_logits_as_they_are():
    net = digits_models.network()
    split = digits_models.digits().validation
    images, labels = to_float(split.images[:50], "cpu"), torch.from_numpy(split.labels[:50])
    inputs = images.clone().requires_grad_()
    logits = net(inputs)
    assert (logits.amax(1) - logits.amin(1)).max() < 1
    torch.nn.functional.cross_entropy(logits, labels, reduction="sum").backward()
    assert torch.equal(input_gradient(net, images, labels), inputs.grad)


def test_equal_logits_have_a_finite_loss_and_gradient():
    logits = torch.ones(2, 3, requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([0, 1]))
    loss.sum().backward()
    assert loss.isfinite().all() and logits.grad.isfinite().all()
