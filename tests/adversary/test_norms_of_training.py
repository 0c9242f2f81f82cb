"""Training in L2 and in two norms by turns."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from gratis.adversary import ADVERSARIES
from gratis.adversary.free import FreeAT
from gratis.adversary.multi_norm import MultiNormFreeAT
from gratis.attacks import BALLS
from gratis.errors import GratisError

IN_A_NORM = [name for name, kind in ADVERSARIES.items() if "norm" in kind.model_fields]


def loss(model, images, batch):
    return functional.cross_entropy(model(images), batch.labels.repeat(batch.view_count))


def replay(adversary, model, batch, t=0.0):
    images = adversary.perturb(model, batch, t)
    loss(model, images, batch).backward()
    adversary.update_delta(batch, t)
    return images.detach()


def test_the_adversaries_that_attack_have_a_norm():
    assert set(IN_A_NORM) == {"free", "cached", "n_fgsm", "fgsm_rs", "pgd"}


@pytest.mark.parametrize("name", IN_A_NORM)
def test_epsilon_may_exceed_one_in_l2_only(name):
    ADVERSARIES[name](norm="l2", epsilon=3, step_size=2)
    for key in ("epsilon", "step_size"):
        with pytest.raises(ValueError, match="must be at least 0 and at most 1, not 3"):
            ADVERSARIES[name].model_validate({key: 3})


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_step_of_free_training_raises_the_loss(norm, model, batch_of):
    batch, epsilon = batch_of(8), {"linf": 0.05, "l2": 0.8}[norm]
    free = FreeAT(epsilon=epsilon, norm=norm)
    first = replay(free, model, batch)
    second = free.perturb(model, batch, 0.0).detach()
    assert torch.equal(first, batch.views)
    assert loss(model, second, batch) > loss(model, first, batch) + 0.01
    assert BALLS[norm].size(second - batch.views).max() > 0.5 * epsilon


def test_a_step_in_l2_follows_the_gradient_to_its_length(model, batch_of):
    batch = batch_of(4)
    views = (0.4 + 0.2 * batch.views).requires_grad_()
    loss(model, views, batch).backward()
    direction = views.grad / views.grad.flatten(1).norm(dim=1)[:, None, None, None]
    inner = type(batch).of(views.detach(), batch.labels)
    free = FreeAT(epsilon=0.25, step_size=0.1, norm="l2")
    replay(free, model, inner)
    found = replay(free, model, inner)
    torch.testing.assert_close(found - views.detach(), 0.1 * direction, rtol=1e-3, atol=1e-6)


def test_multi_norm_uses_one_norm_for_all_replays_of_a_batch(model, batch_of):
    adversary = MultiNormFreeAT(replays=3, epsilon=0.02, epsilon_l2=1.5, seed=1)
    norms = []
    for number in range(40):
        batch = batch_of(4, 1, number)
        deltas = [replay(adversary, model, batch) - batch.views for _ in range(3)][1:]
        small = [bool(delta.abs().max() <= 0.02 + 1e-6) for delta in deltas]
        norms.append(small[0])
        assert small[0] == small[1]
    assert 10 < sum(norms) < 30


@pytest.mark.parametrize(("share", "norm"), [(0, "linf"), (1, "l2")])
def test_multi_norm_with_one_norm_is_free_training_in_it(share, norm, model, batch_of):
    epsilon = {"linf": 0.05, "l2": 1.0}[norm]
    multi = MultiNormFreeAT(epsilon=0.05, epsilon_l2=1.0, share_l2=share)
    free = FreeAT(epsilon=epsilon, norm=norm)
    for number in range(4):
        batch = batch_of(4, 1, number)
        assert torch.equal(replay(multi, model, batch), replay(free, model, batch))


def test_multi_norm_resumed_between_two_replays_keeps_its_norm(model, batch_of):
    for number in range(6):
        adversary = MultiNormFreeAT(epsilon=0.02, epsilon_l2=1.5, seed=number)
        batch = replace(batch_of(4), number=5)
        replay(adversary, model, batch)
        resumed = MultiNormFreeAT(epsilon=0.02, epsilon_l2=1.5, seed=number)
        resumed.load_state_dict(adversary.state_dict())
        expected = adversary.perturb(model, batch, 0.0)
        assert torch.equal(resumed.perturb(model, batch, 0.0), expected)


def test_wrong_settings_are_refused():
    with pytest.raises(GratisError, match="norm: input should be 'linf' or 'l2'"):
        FreeAT(norm="l1")
    with pytest.raises(GratisError, match="share_l2: must be at least 0 and at most 1"):
        MultiNormFreeAT(share_l2=2)
