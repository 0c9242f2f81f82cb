"""Cached training: each image continues from its own delta, in any batch and any view."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from gratis.adversary.cached import CachedSettings
from gratis.adversary.free import FreeSettings
from gratis.augmentation import inverse, warp
from gratis.data import Batch
from gratis.errors import GratisError

EPSILON, SPLIT = 0.05, 10
UNIT = EPSILON / 127
MIRROR = torch.tensor([[-1.0, 0, 0], [0, 1, 0]])
IDENTITY = torch.eye(2, 3)


def cached(**content):
    return CachedSettings.model_validate({"epsilon": EPSILON} | content).build(0)


@pytest.fixture
def split():
    """Ten images with many black and white pixels."""
    source = torch.Generator().manual_seed(0)
    return (1.6 * torch.rand((SPLIT, 3, 8, 8), generator=source) - 0.3).clamp(0, 1)


@pytest.fixture
def show(split):
    """Make a batch of images of the split, a view for each map: ``show([3, 1], MIRROR)``."""

    def make(places, *affines, number=None):
        indices = torch.tensor(places)
        images, views, joined = split[indices], split[indices], None
        if affines:
            joined = torch.stack(affines).repeat_interleave(len(places), 0)
            views = warp(images.repeat(len(affines), 1, 1, 1), joined)[0]
        return Batch(images, indices % 4, indices, views, joined, number, SPLIT)

    return make


def replay(adversary, batch, signs, t=0.0):
    """Do one replay whose gradient has ``signs``; return the images that were trained on."""
    images = adversary.perturb(None, batch, t)
    (images * signs).sum().backward()
    adversary.update_delta(batch, t)
    return images.detach()


def signs_of(batch, seed):
    source = torch.Generator().manual_seed(seed)
    return torch.where(torch.rand(batch.views.shape, generator=source) < 0.5, -1.0, 1.0)


def cache_of(adversary):
    return adversary.state_dict()["cache"].clone()


def cached_delta(adversary, batch, t=0.0):
    """Return the delta that ``batch`` starts with, read off grey views."""
    grey = replace(batch, views=torch.full_like(batch.views, 0.5))
    return adversary.perturb(None, grey, t).detach() - 0.5


def test_every_image_keeps_its_delta_across_batches_in_any_order(show):
    adversary = cached()
    traversals = [[[3, 1, 7], [0, 9, 5], [2, 4], [8, 6]], [[9, 8, 1], [6, 0, 2], [3, 5], [7, 4]]]
    expected = torch.zeros(SPLIT, 3, 8, 8)
    for number, places in enumerate(traversals[0] + traversals[1] + traversals[0]):
        batch = show(places)
        signs = signs_of(batch, number)
        images = replay(adversary, batch, signs)
        torch.testing.assert_close(images, (batch.views + expected[places]).clamp(0, 1))
        moved = expected[places] + EPSILON * signs
        expected[places] = moved.clamp(-EPSILON, EPSILON)
    torch.testing.assert_close(cache_of(adversary)[0] * UNIT, expected)


def test_a_mirrored_image_has_a_mirrored_delta(show):
    adversary = cached()
    batch = show([2, 5], IDENTITY)
    signs = signs_of(batch, 0)
    replay(adversary, batch, signs)
    unmirrored = cached_delta(adversary, show([5, 2], IDENTITY))
    torch.testing.assert_close(unmirrored, EPSILON * signs.flip(0))
    mirrored = show([5, 2], MIRROR)
    torch.testing.assert_close(cached_delta(adversary, mirrored), unmirrored.flip(3))
    # Delta moves on the mirrored view, and is used on the unmirrored one.
    learned = signs_of(mirrored, 1)
    replay(adversary, mirrored, learned)
    expected = (unmirrored.flip(3) + EPSILON * learned).clamp(-EPSILON, EPSILON).flip(3)
    torch.testing.assert_close(cached_delta(adversary, show([5, 2])), expected)


def test_pixels_that_a_view_did_not_show_keep_their_delta(show):
    adversary, right = cached(step_size=0.02), torch.tensor([[1, 0, 2 * 3 / 8], [0, 1, 0]])
    replay(adversary, show([4]), torch.ones(1, 3, 8, 8))
    before = cache_of(adversary)[0, 4]
    # The view shows the image from its fourth column on, then three black columns.
    batch = show([4], right)
    assert not cached_delta(adversary, batch)[..., 5:].any()
    replay(adversary, batch, torch.ones(1, 3, 8, 8))
    after = cache_of(adversary)[0, 4]
    assert torch.equal(after[..., :3], before[..., :3])
    torch.testing.assert_close(
        after[..., 3:] * UNIT, torch.full((3, 8, 5), 0.04), atol=UNIT, rtol=0
    )


def test_the_cache_stores_the_delta_warped_back(show):
    turned = torch.tensor([[0.8, -0.3, 0.1], [0.25, 0.9, -0.05]])
    adversary, batch = cached(step_size=0.02), show([1, 6], turned)
    replay(adversary, show([1, 6]), signs_of(batch, 0))
    before, delta = cache_of(adversary)[0, [1, 6]], cached_delta(adversary, batch)
    torch.testing.assert_close(delta, warp(before * UNIT, batch.affines)[0])
    signs = signs_of(batch, 1)
    replay(adversary, batch, signs)
    moved = (delta + 0.02 * signs).clamp(-EPSILON, EPSILON)
    back, seen = warp(moved, inverse(batch.affines))
    assert 0.5 < seen.float().mean() < 1
    expected = torch.where(seen, back, before * UNIT)
    found = cache_of(adversary)[0, [1, 6]] * UNIT
    torch.testing.assert_close(found, expected, atol=0.51 * UNIT, rtol=0)


def test_each_view_has_its_own_cache(show):
    adversary, batch = cached(), show([7, 0, 3], IDENTITY, MIRROR)
    signs = signs_of(batch, 0)
    replay(adversary, batch, signs)
    first, second = cached_delta(adversary, show([0, 3, 7], IDENTITY, IDENTITY)).chunk(2)
    torch.testing.assert_close(first, EPSILON * signs[[1, 2, 0]])
    torch.testing.assert_close(second, EPSILON * signs[[4, 5, 3]].flip(3))
    assert cache_of(adversary).shape == (2, SPLIT, 3, 8, 8)


def test_images_outside_the_batch_keep_their_delta(show):
    adversary = cached()
    replay(adversary, show([1, 2]), 1.0)
    cache = cache_of(adversary)[0]
    assert (cache[[1, 2]] == 127).all()
    assert not cache[[0, 3, 4, 5, 6, 7, 8, 9]].any()


@pytest.mark.parametrize("step_size", [0.0003, 0.011, 0.05])
def test_the_cache_rounds_by_half_a_unit_and_stays_within_epsilon(step_size, show):
    adversary, batch = cached(step_size=step_size), show([0, 1, 2])
    expected = torch.zeros_like(batch.views)
    for number in range(4):
        signs = signs_of(batch, number)
        replay(adversary, batch, signs)
        expected = (expected + step_size * signs).clamp(-EPSILON, EPSILON)
    cache = cache_of(adversary)
    assert cache.dtype == torch.int8
    torch.testing.assert_close(cache[0, :3] * UNIT, expected, atol=0.501 * UNIT, rtol=0)
    assert cached_delta(adversary, show([0, 1, 2])).abs().max() <= EPSILON + 1e-7


def test_plus_and_minus_epsilon_are_stored_exactly(show):
    adversary, batch = cached(), show([0, 1])
    signs = signs_of(batch, 0)
    replay(adversary, batch, signs)
    adversary.perturb(None, batch, 0.0)
    fresh = adversary.perturb(None, show([0, 1]), 0.0)
    assert torch.equal(fresh.detach(), (batch.views + EPSILON * signs).clamp(0, 1))


def test_delta_is_not_rounded_between_the_replays_of_a_batch(show):
    right = torch.tensor([[1, 0, 2 * 3 / 8], [0, 1, 0]])
    adversary, batch = cached(step_size=UNIT / 5), show([4], right)
    for _ in range(4):
        replay(adversary, batch, 1.0)
    images = adversary.perturb(None, batch, 0.0).detach()
    # Also where the view shows nothing of the image, which the cache does not store.
    torch.testing.assert_close(images, (batch.views + 4 * UNIT / 5).clamp(0, 1), atol=1e-7, rtol=0)
    assert (cache_of(adversary)[0, 4, :, :, 3:] == 1).all()


def test_a_falling_epsilon_clips_where_it_is_used(show):
    adversary = cached(epsilon={"steps": {0: 0.1, 0.5: 0.02}})
    replay(adversary, show([3, 8]), 1.0, t=0.0)
    assert (cache_of(adversary)[0, [3, 8]] == 127).all()
    late = cached_delta(adversary, show([8, 3]), t=0.5)
    torch.testing.assert_close(late, torch.full_like(late, 0.02))


def test_the_cache_covers_a_rising_epsilon(show):
    adversary = cached(epsilon={"linear": {"start": 0, "stop": 0.1}})
    for t in (0.0, 0.5, 1.0):
        replay(adversary, show([3]), 1.0, t)
        stored = cache_of(adversary)[0, 3] * (0.1 / 127)
        torch.testing.assert_close(stored, torch.full((3, 8, 8), 0.1 * t), atol=4e-4, rtol=0)


def test_with_epsilon_zero_nothing_is_perturbed(show):
    adversary, batch = cached(epsilon=0), show([3])
    assert torch.equal(replay(adversary, batch, 1.0), batch.views)
    assert not cache_of(adversary).any()


@pytest.mark.parametrize("views", [1, 2])
def test_the_first_batch_is_that_of_free_training(views, model, batch_of):
    other, shown = copy.deepcopy(model), []
    free = FreeSettings.model_validate({"epsilon": EPSILON, "replays": 3, "step_size": 0.02})
    for adversary, net in ((cached(step_size=0.02), model), (free.build(0), other)):
        batch = batch_of(5, views)
        for _ in range(3):
            images = adversary.perturb(net, batch, 0.0)
            functional.cross_entropy(net(images), batch.view_labels).backward()
            adversary.update_delta(batch, 0.0)
            shown.append(images.detach())
    assert all(map(torch.equal, shown[:3], shown[3:]))
    assert not torch.equal(shown[0], shown[2])


@pytest.mark.parametrize("known", [True, False])
def test_a_state_saved_between_two_replays_continues_bit_for_bit(known, show):
    adversary, right = cached(step_size=0.011), torch.tensor([[1, 0, 0.75], [0, 1, 0.25]])
    replay(adversary, show([1, 4, 6], MIRROR, number=0), 1.0)
    batch = show([4, 2], right, number=1)
    replay(adversary, batch, signs_of(batch, 0))
    state = {
        k: v.clone(memory_format=torch.contiguous_format) for k, v in adversary.state_dict().items()
    }
    resumed = cached(step_size=0.011)
    resumed.load_state_dict(state)
    # The same batch is drawn again, or the next one if its replays are over.
    again = show([4, 2], right, number=1) if known else show([2, 6], MIRROR, number=2)
    same = batch if known else again
    for number in range(2):
        signs = signs_of(again, number)
        assert torch.equal(replay(resumed, again, signs), replay(adversary, same, signs))
    assert torch.equal(cache_of(resumed), cache_of(adversary))


def test_loading_an_earlier_state_goes_back_to_it(show):
    adversary = cached()
    replay(adversary, show([1], number=0), 1.0)
    state = {k: v.clone() for k, v in adversary.state_dict().items()}
    batch = show([4], number=1)
    first = replay(adversary, batch, 1.0)
    adversary.load_state_dict(state)
    assert torch.equal(replay(adversary, batch, 1.0), first)


def test_delta_has_the_memory_format_of_the_images(batch_of):
    adversary = cached()
    for number in range(2):
        batch = replace(batch_of(5, 2, number), number=number)
        images = adversary.perturb(None, batch, 0.0)
        for tensor in (images, *adversary.state_dict()["delta"]):
            assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_observing_without_a_backward_pass_is_an_error(show):
    adversary, batch = cached(), show([1])
    adversary.perturb(None, batch, 0.0)
    with pytest.raises(GratisError, match=r"received no gradient; call loss\.backward"):
        adversary.update_delta(batch, 0.0)
    assert not cache_of(adversary).any()


def test_a_batch_without_indices_is_refused(split):
    batch = Batch.of(split[:2], torch.tensor([0, 1]))
    with pytest.raises(GratisError, match="give the batch the indices"):
        cached().perturb(None, batch, 0.0)


def other_split(batch):
    return replace(batch, split_size=SPLIT + 1)


def other_views(batch):
    return replace(batch, views=batch.views.repeat(2, 1, 1, 1))


def other_size(batch):
    images = batch.images[..., :4]
    return replace(batch, images=images, views=images)


@pytest.mark.parametrize("change", [other_split, other_views, other_size])
def test_a_cache_of_another_run_is_refused(change, show):
    adversary = cached()
    replay(adversary, show([1, 2]), 1.0)
    with pytest.raises(GratisError, match=r"the cache has shape .* use one CachedFreeAT for"):
        adversary.perturb(None, change(show([1, 2])), 0.0)


def test_a_delta_of_another_batch_is_refused(show):
    adversary = cached()
    replay(adversary, show([1, 2], number=5), 1.0)
    with pytest.raises(GratisError, match=r"delta has shape .* use one CachedFreeAT for"):
        adversary.perturb(None, show([1, 2, 3], number=5), 0.0)


@pytest.mark.parametrize(
    "forged",
    [
        {"cache": torch.zeros(1, SPLIT, 3, 8, 8)},
        {"cache": torch.zeros(SPLIT, 3, 8, 8, dtype=torch.int8)},
        {"delta": torch.zeros(2, 3, 8, 8)},
    ],
)
def test_a_forged_state_is_refused(forged, show):
    adversary = cached()
    replay(adversary, show([1, 2], number=0), 1.0)
    with pytest.raises(ValueError, match="shape"):
        cached().load_state_dict(adversary.state_dict() | forged)
