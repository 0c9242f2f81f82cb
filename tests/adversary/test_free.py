"""Free training against a naive implementation, one image at a time."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from gratis.adversary.free import FreeSettings
from gratis.attacks import AttackSettings, run_pgd
from gratis.errors import GratisError

SIZES = [6, 4, 8, 3, 8]  # grows once, and has short batches
TS = [0.0, 0.25, 0.5, 0.75, 1.0]


def free(seed=0, **content):
    return FreeSettings.model_validate(content).build(seed)


def loss_of(model, images, batch):
    return functional.cross_entropy(model(images), batch.labels.repeat(batch.view_count))


def replay(adversary, model, batch, t=0.0, optimizer=None):
    """Do one replay; return the images that were trained on, and whether delta was used."""
    images = adversary.perturb(model, batch, t)
    loss = loss_of(model, images, batch)
    model.zero_grad()
    loss.backward()
    if optimizer is not None:
        optimizer.step()
    adversary.update_delta(batch, t)
    return images.detach(), images.requires_grad


def delta_of(adversary):
    return adversary.state_dict()["delta"].clone()


def naive(model, optimizer, settings, batches, used):
    """Train by the papers' rule; ``used`` says which replays use delta."""
    largest = max(len(batch) for batch in batches)
    shape = (batches[0].view_count, largest, *batches[0].views.shape[1:])
    delta = torch.zeros(shape, dtype=torch.float64)
    shown, used = [], iter(used)
    for batch, t in zip(batches, TS, strict=True):
        for _ in range(max(1, round(settings.replays(t)))):
            rows = delta if next(used) else None
            shown.append(naive_replay(model, optimizer, settings, batch, t, rows))
    return shown, delta


def naive_replay(model, optimizer, settings, batch, t, delta):
    epsilon, momentum = settings.epsilon(t), settings.delta_momentum(t)
    step_size = epsilon if settings.step_size is None else settings.step_size(t)
    places = [(view, image) for view in range(batch.view_count) for image in range(len(batch))]
    images = batch.views.clone()
    if delta is not None:
        for row, place in enumerate(places):
            images[row] = (images[row] + delta[place].clamp(-epsilon, epsilon)).clamp(0, 1)
    images.requires_grad_()
    optimizer.zero_grad()
    loss_of(model, images, batch).backward()
    optimizer.step()
    if delta is not None:
        for row, place in enumerate(places):
            old = delta[place].clamp(-epsilon, epsilon)
            moved = (old + step_size * images.grad[row].sign()).clamp(-epsilon, epsilon)
            delta[place] = momentum * old + (1 - momentum) * moved
    return images.detach()


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize(
    "content",
    [
        {"epsilon": 0.06},
        {"epsilon": {"linear": {"start": 0.1, "stop": 0.01}}},
        {"epsilon": 0.06, "step_size": {"linear": {"start": 0.01, "stop": 0.05}}, "replays": 2},
        {"epsilon": 0.06, "delta_momentum": 0.7, "gamma": 0.5},
        {
            "replays": {"steps": {0: 1, 0.4: 3.4}},
            "epsilon": {"cosine": {"start": 0.02, "stop": 0.1}},
            "gamma": {"linear": {"start": 0.3, "stop": 1}},
            "delta_momentum": {"linear": {"start": 0.9, "stop": 0}},
        },
    ],
    ids=["shafahi", "falling", "step", "average", "scheduled"],
)
def test_agrees_with_a_naive_implementation(content, views, model, batch_of):
    settings = FreeSettings.model_validate(content)
    # In double precision rounding does not flip a sign.
    model = model.double()
    other = copy.deepcopy(model)
    batches = [batch_of(n, views, number, torch.float64) for number, n in enumerate(SIZES)]
    adversary = settings.build(0)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    replays = [
        replay(adversary, model, batch, t, optimizer)
        for batch, t in zip(batches, TS, strict=True)
        for _ in range(adversary.replays(t))
    ]
    optimizer = torch.optim.SGD(other.parameters(), 0.05, momentum=0.9)
    used = [used for _, used in replays]
    shown, delta = naive(other, optimizer, settings, batches, used)
    assert len(shown) == len(replays)
    for (images, _), expected in zip(replays, shown, strict=True):
        torch.testing.assert_close(images, expected)
    torch.testing.assert_close(delta_of(adversary), delta, check_stride=False)


def test_momentum_zero_is_shafahis_rule(model, batch_of):
    batch, epsilon = batch_of(5), 0.05
    adversary = free(epsilon=epsilon, step_size=0.03)
    expected = torch.zeros_like(batch.views)
    for _ in range(4):
        images = (batch.views + expected).clamp(0, 1).requires_grad_()
        loss_of(model, images, batch).backward()
        expected = (expected + 0.03 * images.grad.sign()).clamp(-epsilon, epsilon)
        replay(adversary, model, batch)
        torch.testing.assert_close(delta_of(adversary)[0], expected, check_stride=False)


@pytest.mark.parametrize("content", [{"epsilon": {"linear": {"start": 0.02, "stop": 0.1}}}])
def test_without_a_step_size_the_step_follows_epsilon(content, model, batch_of):
    for t in (0.0, 0.5, 1.0):
        adversary = free(**content)
        replay(adversary, model, batch_of(5), t)
        moved = delta_of(adversary).abs()
        epsilon = 0.02 + 0.08 * t
        assert (moved > 0).float().mean() > 0.9
        torch.testing.assert_close(moved[moved > 0], torch.full_like(moved[moved > 0], epsilon))


def test_delta_persists_across_batches(model, batch_of):
    adversary = free(epsilon=0.05)
    replay(adversary, model, batch_of(6))
    delta = delta_of(adversary)[0]
    following = batch_of(6, number=1)
    images = adversary.perturb(model, following, 0.0)
    torch.testing.assert_close(images, (following.views + delta).clamp(0, 1))


def test_a_short_batch_uses_the_first_rows_of_each_view(model, batch_of):
    adversary = free(epsilon=0.05)
    replay(adversary, model, batch_of(6, views=2))
    before = delta_of(adversary)
    short = batch_of(2, views=2, number=1)
    images, _ = replay(adversary, model, short)
    expected = (short.views + before[:, :2].flatten(0, 1)).clamp(0, 1)
    torch.testing.assert_close(images, expected)
    after = delta_of(adversary)
    assert torch.equal(after[:, 2:], before[:, 2:])
    assert not torch.equal(after[0, :2], before[0, :2])
    assert not torch.equal(after[1, :2], before[1, :2])


def test_a_larger_batch_keeps_the_existing_delta(model, batch_of):
    adversary = free(epsilon=0.05)
    replay(adversary, model, batch_of(3, views=2))
    before = delta_of(adversary)
    adversary.perturb(model, batch_of(7, views=2, number=1), 0.0)
    after = delta_of(adversary)
    assert after.shape == (2, 7, 3, 8, 8)
    assert torch.equal(after[:, :3], before)
    assert not after[:, 3:].any()


def test_a_falling_epsilon_clips_stale_noise_where_it_is_used(model, batch_of):
    adversary = free(epsilon={"steps": {0: 0.1, 0.5: 0.02}})
    replay(adversary, model, batch_of(6), 0.0)
    stale = delta_of(adversary)[0]
    assert stale.abs().max() > 0.09
    following = batch_of(6, number=1)
    images = adversary.perturb(model, following, 0.5)
    torch.testing.assert_close(images, (following.views + stale.clamp(-0.02, 0.02)).clamp(0, 1))


@pytest.mark.parametrize("views", [1, 2])
def test_with_reset_the_second_replay_is_fgsm_on_the_images_of_the_first(views, model, batch_of):
    adversary = free(replays=2, epsilon=0.05, reset_delta=True)
    fgsm = AttackSettings.fgsm(0.05).model_copy(update={"loss": "plain_cross_entropy"})
    model.eval()  # so that nothing changes between the replays
    for number, n in enumerate([6, 6, 2]):
        batch = batch_of(n, views, number)
        first, _ = replay(adversary, model, batch)
        assert torch.equal(first, batch.views)
        second, _ = replay(adversary, model, batch)
        expected = run_pgd(model, batch.views, batch.labels.repeat(views), fgsm)
        torch.testing.assert_close(second, expected)


def test_gamma_zero_changes_neither_delta_nor_views(model, batch_of):
    adversary = free(epsilon=0.05, gamma={"steps": {0: 1, 0.5: 0}})
    replay(adversary, model, batch_of(6), 0.0)
    before = delta_of(adversary)
    batch = batch_of(6, number=1)
    for _ in range(3):
        images, used = replay(adversary, model, batch, 0.5)
        assert not used
        assert torch.equal(images, batch.views)
    assert torch.equal(delta_of(adversary), before)


def test_gamma_is_the_share_of_replays_that_use_delta(model, batch_of):
    batch = batch_of(2)
    used = {}
    for gamma in (0.3, 0.8):
        adversary = free(seed=4, gamma=gamma)
        draws = [adversary.perturb(model, batch, 0.0).requires_grad for _ in range(500)]
        assert sum(draws) / 500 == pytest.approx(gamma, abs=0.06)
        used[gamma] = draws
    # The draws do not depend on gamma.
    assert all(high or not low for low, high in zip(used[0.3], used[0.8], strict=True))


def test_replays_are_rounded_and_at_least_one():
    adversary = free(replays={"linear": {"start": 1, "stop": 4}})
    assert [adversary.replays(t) for t in (0, 0.15, 0.2, 0.5, 0.9, 1)] == [1, 1, 2, 2, 4, 4]


def test_observing_without_a_backward_pass_is_an_error(model, batch_of):
    adversary, batch = free(epsilon=0.05), batch_of(4)
    adversary.perturb(model, batch, 0.0)
    with pytest.raises(GratisError, match=r"received no gradient; call loss\.backward"):
        adversary.update_delta(batch, 0.0)
    assert not delta_of(adversary).any()


def test_delta_ascends_the_total_objective_not_cross_entropy_alone(model, batch_of):
    batch, epsilon = batch_of(4), 0.05
    adversary = free(epsilon=epsilon)
    images = adversary.perturb(model, batch, 0.0)
    images.sum().backward()  # any objective: here the brightness
    adversary.update_delta(batch, 0.0)
    torch.testing.assert_close(
        delta_of(adversary)[0], torch.full_like(batch.views, epsilon), check_stride=False
    )


def test_delta_of_black_and_white_pixels_moves_in_both_directions(batch_of):
    batch = batch_of(4)
    images = (batch.images > 0.5).float()
    batch = replace(batch, images=images, views=images)
    adversary = free(epsilon=0.05)
    # Half of the pixels cannot move that way, but their delta does.
    for sign, expected in ((1, 0.05), (-1, 0.0), (-1, -0.05), (1, 0.0), (1, 0.05)):
        (sign * adversary.perturb(None, batch, 0.0)).sum().backward()
        adversary.update_delta(batch, 0.0)
        delta = delta_of(adversary)[0]
        torch.testing.assert_close(delta, torch.full_like(delta, expected))


def test_delta_has_the_memory_format_of_the_images_also_after_loading(model, batch_of):
    adversary = free(epsilon=0.05)
    replay(adversary, model, batch_of(5, views=2))
    resumed = free(epsilon=0.05)
    resumed.load_state_dict({k: v.contiguous() for k, v in adversary.state_dict().items()})
    assert torch.equal(delta_of(resumed), delta_of(adversary))
    short = batch_of(3, views=2, number=1)
    for one in (adversary, resumed):
        for view in one.state_dict()["delta"]:
            assert view.is_contiguous(memory_format=torch.channels_last)
        images = one.perturb(model, short, 0.0)
        assert images.is_contiguous(memory_format=torch.channels_last)
