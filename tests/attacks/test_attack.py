"""Restarts and early stopping: fooled images leave the batch, and nothing else changes."""

import copy

import pytest
import torch
from torch import nn

from gratis.attacks import (
    BALLS,
    LOSSES,
    AttackSettings,
    attack,
    cross_entropy,
    margin,
    run_attack,
    run_pgd,
)
from gratis.attacks.pgd import loss_gradient, pgd_start, pgd_step
from gratis.seeds import generator
from gratis.torch_state import full_precision

ATTACKS = {
    "fgsm": AttackSettings.fgsm(0.05),
    "bim": AttackSettings.bim(0.05, steps=6),
    "pgd": AttackSettings.pgd(0.05, steps=6, restarts=3),
    "l2": AttackSettings(norm="l2", epsilon=0.45, steps=5, restarts=2),
    "margin": AttackSettings(epsilon=0.05, steps=6, restarts=2, loss="margin"),
}
INDICES = torch.arange(48)


@pytest.fixture
def exact(toy):
    """The toy network in double precision, so that no outcome depends on rounding."""
    net, images, labels = toy
    return copy.deepcopy(net).double(), images.double(), labels


def until_fooled(how):
    return how.model_copy(update={"until_fooled": True})


def counting(net):
    """Return the network, and a list of the number of images in each call."""
    sizes = []

    def classify(images):
        sizes.append(len(images))
        return net(images)

    return classify, sizes


def by_hand(net, image, label, how, index):
    """Return the first point that fools, over all restarts, for one image; ``None`` without one."""
    for restart in range(how.restarts):
        at = pgd_start(
            image, how, start_of(image, how, restart, index) if how.random_start else None
        )
        for step in range(how.steps + 1):
            gradient, logits = loss_gradient(net, at, label, how.loss)
            if logits.argmax(1) != label:
                return at
            if step < how.steps:
                at = pgd_step(image, at, gradient, how)
    return None


def start_of(image, how, restart, index):
    source = generator("cpu", "attack", 0, restart, index)
    return BALLS[how.norm].random((1, *image.shape[1:]), how.epsilon, source).to(image)


@pytest.mark.parametrize("how", ATTACKS.values(), ids=ATTACKS)
def test_returns_the_first_point_that_fools(exact, how):
    net, images, labels = exact
    found = run_attack(net, images, labels, until_fooled(how), 0, INDICES)
    assert 0 < found.fooled.sum() < 48
    for row in range(48):
        one = slice(row, row + 1)
        expected = by_hand(net, images[one], labels[one], how, row)
        assert bool(found.fooled[row]) == (expected is not None)
        if expected is not None:
            torch.testing.assert_close(found.images[one], expected, rtol=0, atol=1e-5)
    assert torch.equal(net(found.images).argmax(1) != labels, found.fooled)


@pytest.mark.parametrize("how", ATTACKS.values(), ids=ATTACKS)
def test_stopping_early_fools_at_least_the_images_that_the_last_step_fools(exact, how):
    net, images, labels = exact
    early = run_attack(net, images, labels, until_fooled(how), 0, INDICES)
    late = run_attack(net, images, labels, how, 0, INDICES)
    assert (early.fooled | ~late.fooled).all()
    assert torch.equal(net(late.images).argmax(1) != labels, late.fooled)
    torch.testing.assert_close(late.images, attack(net, images, labels, how, 0, INDICES))


@pytest.mark.parametrize("how", ATTACKS.values(), ids=ATTACKS)
def test_stays_within_epsilon_and_in_range(toy, how):
    net, images, labels = toy
    found = run_attack(net, images, labels, until_fooled(how), 0, INDICES).images
    assert found.min() >= 0 and found.max() <= 1
    assert BALLS[how.norm].contains(found - images, how.epsilon).all()


def test_each_step_runs_on_the_survivors_only(exact):
    net, images, labels = exact
    classify, sizes = counting(net)
    how = until_fooled(AttackSettings.bim(0.05, steps=6))
    found = run_attack(classify, images, labels, how, 0, INDICES)
    # The survivors at each step, found by making every step with all images.
    at, survivors, expected = images, torch.ones(48, dtype=torch.bool), []
    for _ in range(how.steps):
        expected.append(int(survivors.sum()))
        gradient, logits = loss_gradient(net, at, labels, how.loss)
        survivors &= logits.argmax(1) == labels
        at = pgd_step(images, at, gradient, how)
    assert sizes == [*expected, int(survivors.sum())]
    assert sizes[-1] < 48 and found.fooled.any()


def test_twenty_steps_on_survivors_cost_twenty_one_calls(toy):
    _, images, labels = toy
    classify, sizes = counting(lambda x: x.mean((2, 3)) * 0 + nn.functional.one_hot(labels % 3, 3))
    found = run_attack(
        classify, images, labels % 3, until_fooled(AttackSettings.pgd(0.1)), 0, INDICES
    )
    assert sizes == [48] * 21
    assert not found.fooled.any()


def test_later_restarts_attack_the_survivors_only(exact):
    net, images, labels = exact
    for early in (False, True):
        classify, sizes = counting(net)
        how = AttackSettings.pgd(0.05, steps=2, restarts=2)
        how = how.model_copy(update={"until_fooled": early})
        first = how.model_copy(update={"restarts": 1})
        fooled = run_attack(net, images, labels, first, 0, INDICES).fooled
        run_attack(classify, images, labels, how, 0, INDICES)
        assert 48 - int(fooled.sum()) in sizes[3:]
        assert max(sizes[3:]) == 48 - int(fooled.sum())


def test_batches_and_their_order_change_nothing(exact):
    net, images, labels = exact
    how = until_fooled(ATTACKS["pgd"])
    whole = run_attack(net, images, labels, how, 0, INDICES)
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    for size in (1, 20):
        parts = [
            run_attack(net, images[p], labels[p], how, 0, INDICES[p]) for p in order.split(size)
        ]
        found = torch.cat([part.images for part in parts])
        torch.testing.assert_close(found, whole.images[order], rtol=0, atol=1e-5)


def test_an_image_that_is_wrong_from_the_start_is_left_as_it_is(toy):
    net, images, _ = toy
    wrong = net(images).argmax(1) + 1
    found = run_attack(net, images, wrong % 4, until_fooled(AttackSettings.bim(0.05)), 0, INDICES)
    assert found.fooled.all() and torch.equal(found.images, images)


def test_channels_last_is_kept_while_the_batch_shrinks(toy):
    net, images, labels = toy
    seen = []

    def classify(batch):
        seen.append(batch.is_contiguous(memory_format=torch.channels_last))
        return net(batch)

    turned = images.contiguous(memory_format=torch.channels_last)
    found = run_attack(classify, turned, labels, until_fooled(ATTACKS["pgd"]), 0, INDICES)
    assert found.images.is_contiguous(memory_format=torch.channels_last)
    assert all(seen)


def test_the_margin_is_the_best_wrong_logit_less_the_right_one():
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0], [-4.0, -2.0, -3.0]])
    found = margin(logits, torch.tensor([0, 2, 0]))
    assert found.tolist() == [-1.0, 4.0, 2.0]


def test_a_margin_has_a_gradient_where_that_of_cross_entropy_nearly_vanishes():
    # Beyond a range of 50 cross entropy is that of logits in this range.
    logits = torch.tensor([[300.0, 0.0, 1.0]], requires_grad=True)
    labels = torch.tensor([0])
    (flat,) = torch.autograd.grad(cross_entropy(logits, labels).sum(), logits)
    (steep,) = torch.autograd.grad(margin(logits, labels).sum(), logits)
    assert 0 < flat.abs().max() < 1e-20
    assert steep.tolist() == [[-1.0, 0.0, 1.0]]


@pytest.mark.parametrize("name", LOSSES)
def test_attacks_raise_every_loss(toy, name):
    net, images, labels = toy
    how = AttackSettings(epsilon=0.05, steps=4, loss=name)
    found = run_pgd(net, images, labels, how)
    with torch.no_grad():
        before, after = (LOSSES[name](net(x), labels).mean() for x in (images, found))
    assert after > before + 0.5


@pytest.mark.parametrize("norm", BALLS)
def test_a_ball_allows_for_rounding_and_no_more(norm):
    torch.manual_seed(0)
    images = torch.rand(64, 3, 16, 16)
    wanted = BALLS[norm].project(torch.randn_like(images), 0.3)
    assert BALLS[norm].contains((images + wanted) - images, 0.3).all()
    assert not BALLS[norm].contains(wanted * 1.001, 0.3).any()
    assert not BALLS[norm].contains(wanted * torch.nan, 0.3).any()
    assert BALLS[norm].contains(wanted[:0], 0.3).shape == (0,)


def test_full_precision_is_restored_even_after_an_exception():
    def state():
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = state()
    torch.set_float32_matmul_precision("high")
    try:
        with (
            torch.autocast("cpu", torch.bfloat16),
            pytest.raises(RuntimeError, match="stop"),
            full_precision(torch.device("cpu")),
        ):
            assert state() == ("highest", False)
            assert (torch.rand(4, 4) @ torch.rand(4, 4)).dtype == torch.float32
            raise RuntimeError("stop")
        assert state() == ("high", before[1])
    finally:
        torch.set_float32_matmul_precision(before[0])
