import pytest
import torch

from gratis.playground.attack_steps import STEPS, AttackRequest, attack_steps, first_error

EPSILON = 38 / 255


def last(model, images, label, request):
    *_, step = attack_steps(model, images, label, request)
    return step


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("method", [m for m in STEPS if m != "none"])
def test_every_attack_stays_in_its_ball_and_in_the_range_of_pixels(pair, digit, method, norm):
    images = pair[0].read(digit.file)
    step = last(pair[0], images, digit.label, AttackRequest(method, norm, EPSILON))
    delta = step.images - images
    size = delta.abs().max() if norm == "linf" else delta.norm()
    assert 0 < size <= EPSILON + 1e-6
    assert step.images.min() >= 0
    assert step.images.max() <= 1


def test_attacks_raise_the_loss_and_targeted_ones_lower_that_of_the_target(pair, digit):
    images = pair[0].read(digit.file)
    away = last(pair[0], images, digit.label, AttackRequest("PGD-50", "linf", EPSILON)).losses
    assert away[-1] > away[0] + 0.3
    target = (digit.label + 1) % 10
    towards = last(pair[0], images, digit.label, AttackRequest("PGD-50", "linf", EPSILON, target))
    assert towards.losses[-1] < towards.losses[0] - 0.3
    assert len(towards.losses) == 51  # the random start, and 50 steps


def test_long_attacks_show_where_they_are(pair, digit):
    images = pair[0].read(digit.file)
    request = AttackRequest("PGD-50", "linf", EPSILON)
    lengths = [len(step.losses) for step in attack_steps(pair[0], images, digit.label, request)]
    assert lengths == [11, 21, 31, 41, 51]


def test_no_attack_shows_the_image(pair, digit):
    images = pair[0].read(digit.file)
    for request in (AttackRequest("none", "linf", EPSILON), AttackRequest("PGD-10", "linf", 0.0)):
        step = last(pair[0], images, digit.label, request)
        assert torch.equal(step.images, images)
        assert len(step.losses) == 1


def test_the_first_error_is_where_the_prediction_changes(pair, digit):
    found = {}
    for model in pair:
        images = model.read(digit.file)
        first = first_error(model, images, digit.label, "linf", 1.0)
        found[model.name] = first
        request = AttackRequest("PGD-10", "linf", first)
        attacked = last(model, images, digit.label, request).images
        assert model.probabilities(attacked).argmax() != digit.label
    assert 0 < found["natural"] < found["robust"]


def test_a_wrong_prediction_needs_no_attack_and_a_tiny_one_changes_none(pair, digit):
    images = pair[0].read(digit.file)
    assert first_error(pair[0], images, (digit.label + 1) % 10, "linf", EPSILON) == 0
    assert first_error(pair[0], images, digit.label, "linf", 1e-6) is None
