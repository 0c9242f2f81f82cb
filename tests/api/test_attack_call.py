"""One call attacks as the engine does, and leaves the caller's process and module as they were."""

from typing import get_args

import pytest
import torch

import digits_models
import gratis
from gratis.api.attacking import AttackName
from gratis.attacks import ATTACKS, AttackSettings, attack, frozen
from gratis.errors import GratisError

EPSILON = 38 / 255
ENGINE = {
    "fgsm": AttackSettings.fgsm(EPSILON),
    "bim": AttackSettings.bim(EPSILON),
    "pgd": AttackSettings.pgd(EPSILON),
}


@pytest.mark.parametrize("name", ENGINE)
def test_an_attack_by_name_is_the_engines(name, images, labels):
    net = digits_models.natural()
    few, theirs = images[:70], labels[:70]
    with frozen(net):
        expected = attack(net, few, theirs, ENGINE[name], 3)
    found = gratis.attack(net, few, theirs, name, epsilon=EPSILON, seed=3)
    assert torch.equal(found, expected)
    parts = gratis.attack(net, few, theirs, name, epsilon="38/255", seed=3, batch_size=17)
    torch.testing.assert_close(parts, expected, rtol=0, atol=1e-5)
    assert (found - few).abs().max() <= EPSILON + 1e-6 and 0 <= found.min() <= found.max() <= 1
    assert (net(found).argmax(1) == theirs).float().mean() < (
        net(few).argmax(1) == theirs
    ).float().mean()


def test_options_reach_the_attack(images, labels):
    net = digits_models.natural()
    found = gratis.attack(net, images, labels, epsilon=1.5, norm="l2", steps=3)
    lengths = (found - images).flatten(1).norm(dim=1)
    assert 1 < lengths.max() <= 1.5 + 1e-5
    one = gratis.attack(net, images[5:6], labels[5:6], epsilon=0.1, indices=torch.tensor([5]))
    whole = gratis.attack(net, images[:6], labels[:6], epsilon=0.1)
    torch.testing.assert_close(one, whole[5:], rtol=0, atol=1e-5)


class Normalising(torch.nn.Module):
    """Normalises its images in place, as some published models do."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return self.net(images.sub_(0.5).div_(0.5).mul(0.5).add(0.5))


def test_a_model_that_changes_its_images_in_place_is_attacked_like_any_other(images, labels):
    net, before = digits_models.natural(), images[:50].clone()
    found = gratis.attack(Normalising(net), images[:50], labels[:50], epsilon=EPSILON)
    expected = gratis.attack(net, images[:50], labels[:50], epsilon=EPSILON)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    predicted = gratis.predict(Normalising(net), images[:50], attack="pgd", epsilon=EPSILON)
    plain = gratis.predict(net, images[:50], attack="pgd", epsilon=EPSILON)
    assert [(p.name, p.attacked.name) for p in predicted] == [
        (p.name, p.attacked.name) for p in plain
    ]
    assert torch.equal(images[:50], before)


def test_a_model_without_gradients_is_refused_in_one_line(images, labels):
    net = digits_models.natural()
    blind = torch.nn.Sequential(net, torch.nn.Softmax(1)).requires_grad_(True)
    detached = Function(lambda x: net(x).detach())
    bypassed = Function(lambda x: blind(x.detach()))
    for model in (detached, bypassed):
        for options in ({}, {"until_fooled": True}, {"loss": "margin"}):
            with pytest.raises(GratisError, match="no gradient with respect to its images"):
                gratis.attack(model, images[:3], labels[:3], epsilon=EPSILON, **options)
        with pytest.raises(GratisError, match="no gradient with respect to its images"):
            gratis.predict(model, images[:3], attack="fgsm", epsilon=EPSILON)


@pytest.mark.parametrize("adversary", [gratis.PGDAT, gratis.NFGSM, gratis.FGSMRS])
def test_labels_of_no_class_are_refused_in_training_loops_too(adversary, images, labels):
    net, few = digits_models.natural(), images[:3]
    with pytest.raises(GratisError, match="labels: -1 is no class"):
        next(iter(adversary(epsilon=0.1).replay(net, few, labels[:3] * 0 - 1, 0.0)))
    with pytest.raises(GratisError, match="labels: 12 to 12 are not all among the 10 classes"):
        next(iter(adversary(epsilon=0.1).replay(net, few, labels[:3] * 0 + 12, 0.0)))


class Function(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attack": "cw"}, "attack: 'cw' is unknown; choose from fgsm, bim, pgd"),
        ({"epsilon": 8}, "must be at most 1 in linf"),
        ({"epsilon": "eight"}, "'eight' is not a number"),
        ({"step": 3}, "unknown key; did you mean 'steps'"),
        ({"images": torch.full((2, 3, 8, 8), 2.0)}, r"values in \[0, 1\]"),
        ({"images": torch.full((2, 3, 8, 8), torch.nan)}, r"values in \[0, 1\]"),
        ({"images": torch.zeros(2, 3, 8)}, "float tensor of shape"),
        ({"labels": torch.zeros(2)}, "labels: needs an int64"),
        ({"indices": torch.zeros(3)}, "indices: needs an int64"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(change, message, images, labels):
    given = {"images": images[:2], "labels": labels[:2], "epsilon": 0.1} | change
    with pytest.raises(GratisError, match=message) as refused:
        gratis.attack(digits_models.natural(), **given)
    assert "\n" not in str(refused.value)


def test_the_names_of_attacks_for_type_checkers_are_all_attacks():
    assert get_args(AttackName) == tuple(ATTACKS)
