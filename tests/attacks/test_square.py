"""Square Attack stays in its bounds, and depends on no batch and no gradient."""

import math

import pytest
import torch
from torch import nn

import digits_models
from gratis.attacks import SquareSettings, frozen, is_correct, square_attack
from gratis.attacks.square import _side
from gratis.data import to_float

HOW = SquareSettings(epsilon=0.1, queries=60)


@pytest.fixture
def attacked(toy):
    net, images, labels = toy
    with frozen(net):
        right = is_correct(net(images), labels)
        yield net, images[right], labels[right]


def test_images_stay_within_epsilon_and_range_and_fool_as_claimed(attacked):
    net, images, labels = attacked
    before = images.clone()
    found, fooled = square_attack(net, images, labels, HOW)
    assert (found - images).abs().max() <= 0.1 + 1e-6
    assert found.min() >= 0 and found.max() <= 1
    assert torch.equal(images, before) and not found.requires_grad
    assert 0 < fooled.sum() < len(labels)
    assert torch.equal(fooled, ~is_correct(net(found), labels))


def test_an_image_is_attacked_alike_alone_and_in_any_batch(attacked):
    net, images, labels = attacked
    found, fooled = square_attack(net, images, labels, HOW, seed=3)
    indices = torch.arange(len(labels))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    shuffled = square_attack(net, images[order], labels[order], HOW, 3, indices[order])
    torch.testing.assert_close(shuffled[0], found[order])
    assert torch.equal(shuffled[1], fooled[order])
    alone = [
        square_attack(net, images[[i]], labels[[i]], HOW, 3, indices[[i]])
        for i in range(len(labels))
    ]
    torch.testing.assert_close(torch.cat([one[0] for one in alone]), found)
    assert torch.equal(torch.cat([one[1] for one in alone]), fooled)
    other, _ = square_attack(net, images, labels, HOW, seed=4)
    assert not torch.equal(other, found)


def test_it_leaves_the_generators_alone_and_needs_no_gradient(attacked):
    net, images, labels = attacked
    _, fooled = square_attack(net, images, labels, HOW)
    state = torch.get_rng_state()

    def without(images):
        assert not torch.is_grad_enabled()
        return net(images).detach()

    with torch.inference_mode():
        _, again = square_attack(without, images, labels, HOW)
    assert torch.equal(again, fooled)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_fooled_image_is_not_asked_about_again_and_logits_without_an_answer_fool():
    sizes = []

    def classify(images):
        sizes.append(len(images))
        logits = torch.eye(2)[torch.zeros(len(images), dtype=torch.long)]
        return logits if len(sizes) < 3 else logits * torch.nan

    labels = torch.tensor([0, 0, 1])
    _, fooled = square_attack(
        classify, torch.rand(3, 3, 4, 4), labels, SquareSettings(epsilon=0.1, queries=9)
    )
    assert sizes == [3, 2, 2] and fooled.all()


def test_within_an_epsilon_of_zero_nothing_changes(attacked):
    net, images, labels = attacked
    found, fooled = square_attack(net, images, labels, SquareSettings(epsilon=0))
    assert torch.equal(found, images) and not fooled.any()


def test_a_plateau_is_crossed():
    """Equal losses are accepted: no single square gets from the first point to a fooled image."""

    def classify(images):
        bright = (images > 0.5).flatten(1).all(1).float()
        return torch.stack([1 - bright, bright], 1)

    images, labels = torch.full((1, 3, 1, 2), 0.5), torch.tensor([0])
    start, _ = square_attack(classify, images, labels, SquareSettings(epsilon=0.1, queries=0))
    assert not (start > 0.5).all(1).any()
    assert square_attack(classify, images, labels, SquareSettings(epsilon=0.1, queries=300))[
        1
    ].all()


def test_the_squares_shrink_as_in_the_official_code():
    official = pytest.importorskip("pyautoattack.square").SquareAttack(None, n_queries=500)
    for query in range(500):
        side = max(round(math.sqrt(official.p_selection(query) * 32 * 32)), 1)
        assert _side(query / 500, 32, 32) == side


@pytest.mark.parametrize("model", [digits_models.natural, digits_models.robust])
def test_it_finds_as_much_as_the_official_code(model):
    """Both are random: of 200 images each fools about as many as the other, within three sigma."""
    library = pytest.importorskip("pyautoattack.square")
    net, split = model(), digits_models.digits().validation
    images, labels = to_float(split.images, "cpu"), torch.from_numpy(split.labels)
    with frozen(net):
        right = is_correct(net(images), labels).nonzero().squeeze(1)[:200]
        images, labels = images[right], labels[right]
        _, fooled = square_attack(
            net, images, labels, SquareSettings(epsilon=digits_models.EPSILON, queries=200)
        )
        theirs = library.SquareAttack(
            lambda x: net(x).detach(), n_queries=200, eps=digits_models.EPSILON, seed=0
        )
        theirs.init_hyperparam(images)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            _, adversarial = theirs.attack_single_run(images, labels)
        official = ~is_correct(net(adversarial), labels)
    ours, share = fooled.float().mean().item(), official.float().mean().item()
    assert 0.05 < share < 0.9
    assert abs(ours - share) < 3 * math.sqrt(2 * share * (1 - share) / len(labels))


class Negative(nn.Module):
    """A model whose gradient points away from the adversarial examples."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return self.net(2 * images.detach() - images)


def test_a_gradient_that_points_the_wrong_way_does_not_matter(attacked):
    net, images, labels = attacked
    _, fooled = square_attack(net, images, labels, HOW)
    _, again = square_attack(Negative(net), images, labels, HOW)
    assert (fooled == again).float().mean() > 0.95  # 2x - x rounds
