import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gratis.attacks import (
    BALLS,
    AttackSettings,
    attack,
    cross_entropy,
    frozen,
    input_gradient,
    run_pgd,
)
from gratis.errors import GratisError
from gratis.settings import validate

EPSILON = {"linf": 0.06, "l2": 0.6}
ATTACKS = {
    "fgsm": AttackSettings.fgsm(0.06),
    "bim": AttackSettings.bim(0.06, steps=4),
    "pgd": AttackSettings.pgd(0.06, steps=4, restarts=2),
    "l2": AttackSettings(norm="l2", epsilon=0.6, steps=4),
}


def size(delta, norm):
    return torch.linalg.vector_norm(
        delta.flatten(1), ord=2 if norm == "l2" else float("inf"), dim=1
    )


def loss_of(net, images, labels):
    with torch.no_grad():
        return cross_entropy(net(images), labels)


@pytest.mark.parametrize("how", ATTACKS.values(), ids=ATTACKS)
def test_the_result_is_within_epsilon_and_in_range_and_raises_the_loss(toy, how):
    net, images, labels = toy
    found = attack(net, images, labels, how, 0, torch.arange(len(images)))
    assert not found.requires_grad
    assert found.min() >= 0 and found.max() <= 1
    assert (size(found - images, how.norm) <= how.epsilon + 1e-6).all()
    assert loss_of(net, found, labels).mean() > 1.2 * loss_of(net, images, labels).mean()


@settings(deadline=None, max_examples=20)
@given(
    norm=st.sampled_from(sorted(BALLS)),
    epsilon=st.floats(0, 1),
    step_size=st.none() | st.floats(0, 3),
    steps=st.integers(1, 3),
    random_start=st.booleans(),
)
def test_any_settings_stay_within_epsilon_and_in_range(
    toy, norm, epsilon, step_size, steps, random_start
):
    net, images, labels = toy
    how = AttackSettings(
        norm=norm, epsilon=epsilon, step_size=step_size, steps=steps, random_start=random_start
    )
    found = attack(net, images[:6], labels[:6], how, 1, torch.arange(6))
    assert found.min() >= 0 and found.max() <= 1
    assert (size(found - images[:6], norm) <= epsilon + 1e-6).all()


def test_more_steps_find_a_higher_loss(toy):
    net, images, labels = toy
    indices = torch.arange(len(images))
    fgsm = attack(net, images, labels, AttackSettings.fgsm(0.06), 0, indices)
    pgd = attack(net, images, labels, AttackSettings.pgd(0.06), 0, indices)
    assert loss_of(net, pgd, labels).mean() > loss_of(net, fgsm, labels).mean()


def test_more_restarts_are_never_better_for_the_model(toy):
    net, images, labels = toy
    right, losses = [], []
    for restarts in (1, 2, 5):
        how = AttackSettings(epsilon=0.02, steps=1, restarts=restarts)
        found = attack(net, images, labels, how, 0, torch.arange(len(images)))
        right.append(net(found).argmax(1) == labels)
        losses.append(loss_of(net, found, labels))
    for fewer, more in ((0, 1), (1, 2)):
        assert not (right[more] & ~right[fewer]).any()
        # Where no restart fools the model, the highest loss is kept.
        kept = right[more]
        assert (losses[more][kept] >= losses[fewer][kept] - 1e-6).all()
    assert (losses[2] > losses[0]).any()


def test_the_first_restart_that_fools_is_kept(toy):
    net, images, labels = toy
    how = {n: AttackSettings.pgd(0.3, steps=2, restarts=n) for n in (1, 3)}
    found = {n: attack(net, images, labels, h, 0, torch.arange(48)) for n, h in how.items()}
    fooled = net(found[1]).argmax(1) != labels
    assert fooled.any()
    assert torch.equal(found[1][fooled], found[3][fooled])


@pytest.mark.parametrize("norm", BALLS)
def test_starts_depend_on_the_image_alone(toy, norm):
    net, images, labels = toy
    # A step of size zero leaves the random start as it is.
    how = AttackSettings(norm=norm, epsilon=EPSILON[norm], steps=1, step_size=0)
    indices = torch.arange(100, 148)
    whole = attack(net, images, labels, how, 0, indices)
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    shuffled = attack(net, images[order], labels[order], how, 0, indices[order])
    assert torch.equal(shuffled, whole[order])
    alone = attack(net, images[7:8], labels[7:8], how, 0, indices[7:8])
    assert torch.equal(alone, whole[7:8])
    other = attack(net, images, labels, how, 1, indices)
    assert (other != whole).flatten(1).any(1).all()
    assert (whole[0] - images[0] != whole[1] - images[1]).any()


@pytest.mark.parametrize("norm", BALLS)
def test_batch_size_and_order_change_nothing(toy, norm):
    net, images, labels = toy
    # Double precision: a gradient near zero must not change sign by rounding.
    net, images = copy.deepcopy(net).double(), images.double()
    how = AttackSettings(norm=norm, epsilon=EPSILON[norm], steps=3, restarts=2)
    indices = torch.arange(48)
    whole = attack(net, images, labels, how, 0, indices)
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    pieces = [
        attack(net, images[part], labels[part], how, 0, indices[part]) for part in order.split(20)
    ]
    torch.testing.assert_close(torch.cat(pieces), whole[order], rtol=0, atol=1e-5)


def test_a_start_outside_epsilon_is_projected(toy):
    net, images, labels = toy
    how = AttackSettings(epsilon=0.05, steps=1, step_size=0)
    found = run_pgd(net, images, labels, how, start=torch.ones_like(images))
    assert torch.equal(found, (images + 0.05).clamp(0, 1))


def test_works_without_gradients_around_it_and_leaves_parameters_alone(toy):
    net, images, labels = toy
    net = copy.deepcopy(net)
    net.zero_grad()
    expected = attack(net, images, labels, ATTACKS["pgd"], 0, torch.arange(48))
    with torch.no_grad(), frozen(net):
        found = attack(net, images, labels, ATTACKS["pgd"], 0, torch.arange(48))
    torch.testing.assert_close(found, expected)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not images.requires_grad


@pytest.mark.parametrize("how", ATTACKS.values(), ids=ATTACKS)
def test_a_constant_loss_gives_finite_images(toy, how):
    _, images, labels = toy
    found = attack(lambda x: x.mean((2, 3)) * 0, images, labels % 3, how, 0, torch.arange(48))
    assert found.isfinite().all()


@pytest.mark.parametrize("n", [0, 1])
def test_a_batch_of_one_and_of_none(toy, n):
    net, images, labels = toy
    for how in ATTACKS.values():
        found = attack(net, images[:n], labels[:n], how, 0, torch.arange(n))
        assert found.shape == images[:n].shape


def test_an_image_has_the_same_gradient_in_every_batch(toy):
    net, images, labels = toy
    whole = input_gradient(net, images, labels)
    torch.testing.assert_close(input_gradient(net, images[:1], labels[:1]), whole[:1])


def test_half_precision_logits_do_not_hide_the_gradient():
    # 1 - softmax is 3e-4: bfloat16 would round it to zero.
    images, labels = torch.zeros(1, 3, 1, 1), torch.tensor([0])
    bias = torch.tensor([8.0, 0.0, 0.0])
    gradient = input_gradient(lambda x: (x.mean((2, 3)) + bias).bfloat16(), images, labels)
    assert (gradient[0, 0] < 0).all() and (gradient[0, 1:] > 0).all()


def test_channels_last_is_kept(toy):
    net, images, labels = toy
    turned = images.contiguous(memory_format=torch.channels_last)
    found = attack(net, turned, labels, ATTACKS["pgd"], 0, torch.arange(48))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_default_step_sizes():
    assert AttackSettings(epsilon=0.4, steps=10).resolved_step_size == pytest.approx(0.1)
    assert AttackSettings(epsilon=0.4, steps=1).resolved_step_size == 0.4
    assert AttackSettings(epsilon=0.4, step_size=0.3).resolved_step_size == 0.3
    assert AttackSettings.fgsm(0.4).resolved_step_size == 0.4


def test_fractions_are_read():
    how = validate(AttackSettings, {"epsilon": "8/255", "step_size": "2/255"}, "attack")
    assert how.epsilon == 8 / 255 and how.step_size == 2 / 255


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"epsilon": -1}, "epsilon: input should be greater than or equal to 0"),
        ({"epsilon": 8}, "8/255"),
        ({"epsilon": 0.1, "steps": 0}, "steps: input should be greater than or equal to 1"),
        ({"epsilon": 0.1, "step_size": -1}, "step_size"),
        ({"epsilon": 0.1, "norm": "l1"}, "norm"),
        ({"epsilon": 0.1, "restarts": 2, "random_start": False}, "restarts without random_start"),
        ({"epsilom": 0.1}, "did you mean 'epsilon'"),
    ],
)
def test_wrong_settings_are_refused(content, complaint):
    with pytest.raises(GratisError, match=complaint):
        validate(AttackSettings, content, "attack")


def test_an_l2_epsilon_may_exceed_one_and_constructors_validate():
    assert AttackSettings(epsilon=3, norm="l2").epsilon == 3
    with pytest.raises(ValidationError):
        AttackSettings.pgd(-0.1)
