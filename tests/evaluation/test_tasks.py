"""The tasks besides gradient attacks: random positions, corruptions, AutoAttack."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gratis.attacks import AttackSettings
from gratis.data.dataset import Split
from gratis.errors import GratisError
from gratis.evaluation.autoattack import COSTS, AutoAttack, PlainGradients
from gratis.evaluation.corruptions import KINDS, SEVERITIES, Corruption, corrupt
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.tasks import GradientAttack
from gratis.evaluation.worst_of_k import WorstOfK


class CentreBrightness(nn.Module):
    """Class 1 if the centre of the image is bright, class 0 if not."""

    def forward(self, images):
        middle = images[:, :, 5:11, 5:11].amin((1, 2, 3)) - 0.5
        return torch.stack([-middle, middle], 1)


def squares(half):
    """Return images of 16 pixels with a centred white square of half the given width each."""
    images = np.zeros((len(half), 16, 16, 3), dtype=np.uint8)
    for image, width in zip(images, half, strict=True):
        image[8 - width : 8 + width, 8 - width : 8 + width] = 255
    return Split(images, np.ones(len(half), dtype=np.int64))


def worst(**how):
    return WorstOfK(name="geometric_worst", threat="geometric_worst", **how)


def test_large_squares_survive_every_position_and_small_ones_do_not():
    evaluated = EvaluatedModel(CentreBrightness(), squares([8, 3, 8, 3]), {}, 0)
    index = np.arange(4)
    assert evaluated.is_correct(*evaluated.batch_at(index)[:2]).all()
    assert worst(degrees=0, shift=0).run(evaluated, index).correct.all()
    np.testing.assert_array_equal(
        worst(draws=20).run(evaluated, index).correct, [True, False, True, False]
    )


def test_a_model_never_gets_an_empty_batch(net, split):
    evaluated = EvaluatedModel(net, split, {}, 0)
    attack = AttackSettings.pgd(0.0, steps=2).model_copy(update={"until_fooled": True})
    # Within an epsilon of 0 no image is fooled, so there is no claim to check.
    clean = evaluated.is_correct(*evaluated.batch_at(np.arange(len(split)))[:2]).numpy()
    outcome = GradientAttack(name="pgd", threat="robust", attack=attack).run(
        evaluated, clean.nonzero()[0]
    )
    assert outcome.correct.all() and 0 not in net.seen


def test_more_draws_fool_more_images_and_do_not_depend_on_the_batch(net, split):
    evaluated, index = EvaluatedModel(net, split, {}, 5), np.arange(len(split))
    few, more = (worst(draws=n).run(evaluated, index).correct for n in (1, 6))
    assert (few | ~more).all() and more.sum() < few.sum()
    order = np.random.default_rng(0).permutation(index)
    np.testing.assert_array_equal(worst(draws=6).run(evaluated, order).correct, more[order])
    one = np.concatenate([worst(draws=6).run(evaluated, index[i : i + 1]).correct for i in index])
    np.testing.assert_array_equal(one, more)
    other = EvaluatedModel(net, split, {}, 6)
    assert (worst(draws=1).run(other, index).correct != few).any()


def test_a_fooled_image_is_not_moved_again(net, split):
    evaluated = EvaluatedModel(net, split, {}, 5)
    net.seen.clear()
    worst(draws=4).run(evaluated, np.arange(len(split)))
    survivors = [len(split)]
    for draws in range(1, 4):
        outcome = worst(draws=draws).run(EvaluatedModel(net, split, {}, 5), np.arange(len(split)))
        survivors.append(int(outcome.correct.sum()))
    assert net.seen[:4] == survivors


@pytest.fixture
def photos():
    torch.manual_seed(0)
    soft = torch.rand(6, 3, 5, 5)
    return nn.functional.interpolate(soft, (32, 32), mode="bilinear").clamp(0.05, 0.9)


def drawn(kind, images):
    torch.manual_seed(1)
    return torch.rand(images.shape if kind.endswith("noise") else (len(images), 1))


@pytest.mark.parametrize("kind", KINDS)
def test_corruptions_stay_in_range_and_grow(kind, photos):
    pytest.importorskip("kornia")
    changes = []
    for severity in SEVERITIES:
        found = corrupt(kind, severity, photos, drawn(kind, photos))
        assert found.shape == photos.shape and found.dtype == torch.float32
        assert found.min() >= 0 and found.max() <= 1
        changes.append(float((found - photos).abs().mean()))
    assert 5e-4 < changes[0] < changes[4] < 0.45
    # Saturation is taken away first, then added.
    assert kind == "saturation" or changes == sorted(changes)


def test_noise_has_its_nominal_strength():
    grey = torch.full((4, 3, 64, 64), 0.5)
    noisy = corrupt("gaussian_noise", 2, grey, drawn("gaussian_noise", grey))
    assert (noisy - 0.5).std() == pytest.approx(0.06, rel=0.02)
    assert (noisy - 0.5).mean() == pytest.approx(0, abs=0.002)
    hit = corrupt("impulse_noise", 5, grey, drawn("impulse_noise", grey))
    assert (hit == 0).float().mean() == pytest.approx(0.035, abs=0.003)
    assert (hit == 1).float().mean() == pytest.approx(0.035, abs=0.003)
    assert set(hit.unique().tolist()) == {0.0, 0.5, 1.0}


@pytest.mark.parametrize("kind", ["gaussian_noise", "motion_blur"])
def test_a_corruption_depends_on_seed_and_image_alone(kind, net, split, monkeypatch):
    pytest.importorskip("kornia")
    seen = []
    monkeypatch.setattr(
        EvaluatedModel,
        "is_correct",
        lambda self, images, labels: seen.append(images) or labels == 0,
    )
    task = Corruption(name="it", kind=kind, severity=3)
    index, order = np.arange(24), np.random.default_rng(0).permutation(24)
    for seed, rows in ((0, index), (0, order), (1, index)):
        task.run(EvaluatedModel(net, split, {}, seed), rows)
    whole, shuffled, other = seen
    torch.testing.assert_close(shuffled, whole[torch.from_numpy(order)])
    assert (other != whole).flatten(1).any(1).all()


def test_gradients_through_channels_last_come_back_contiguous():
    torch.manual_seed(0)
    weights = torch.randn(4, 3, 8, 8, dtype=torch.float64)

    def classify(images):
        # Elementwise, so that the gradient has the layout of what went in.
        return (images[:, None] * weights).sum((2, 3, 4))

    images = torch.rand(5, 3, 8, 8, requires_grad=True)
    seen = []
    plain = PlainGradients(lambda x: seen.append(x) or classify(x))
    logits = plain(images)
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), images)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert gradient.is_contiguous() and logits.dtype == torch.float32
    torch.testing.assert_close(gradient, weights[1].float().expand_as(images))


@pytest.mark.parametrize("part", COSTS)
def test_autoattack_fools_images_within_epsilon(part, net, split):
    pytest.importorskip("pyautoattack")
    epsilon = 24 / 255 if part == "square" else 5 / 255  # it is slow to find anything close
    task = AutoAttack(name=part, threat="robust", standalone=False, part=part, epsilon=epsilon)
    evaluated = EvaluatedModel(net, split, {}, 0, example_format="float32")
    clean = np.flatnonzero(evaluated.is_correct(*evaluated.batch_at(np.arange(24))[:2]).numpy())[:6]
    state = torch.get_rng_state()
    first, again = task.run(evaluated, clean), task.run(evaluated, clean)
    assert torch.equal(torch.get_rng_state(), state)
    assert task.applies_to(evaluated)
    np.testing.assert_array_equal(first.correct, again.correct)
    assert not first.correct.all()
    batch = evaluated.batch_at(clean[~first.correct])
    assert evaluated.is_fooled(batch, torch.from_numpy(first.examples), "linf", epsilon).all()


@pytest.mark.parametrize(("classes", "left_out"), [(2, {"apgd-t"}), (3, {"apgd-t"}), (4, set())])
def test_parts_that_need_more_classes_are_left_out_and_logged(classes, left_out, caplog):
    caplog.set_level("INFO")
    pytest.importorskip("pyautoattack")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, classes))
    split = Split(np.zeros((4, 8, 8, 3), dtype=np.uint8) + 99, np.arange(4) % classes)
    evaluated = EvaluatedModel(net, split, {}, 0)
    for part in COSTS:
        task = AutoAttack(name=part, threat="robust", standalone=False, part=part, epsilon=0.1)
        assert task.applies_to(evaluated) == (part not in left_out)
        assert (f"{part} is left out: it needs 4" in caplog.text) == (part in left_out)
        caplog.clear()
        if task.applies_to(evaluated) and part != "square":
            assert task.run(evaluated, np.arange(4)).correct.shape == (4,)


@pytest.mark.parametrize(
    ("library", "task"),
    [
        ("pyautoattack", AutoAttack(name="a", part="square", epsilon=0.1)),
        ("kornia", Corruption(name="c", kind="jpeg", severity=1)),
    ],
)
def test_a_missing_library_is_named_with_a_remedy(library, task, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        GratisError, match=rf"needs {library}; install it: pip install 'gratis\[full"
    ):
        task.require_library()


class Wrong(nn.Module):
    """Predicts a class that no image has."""

    def forward(self, images):
        return functional.one_hot(torch.full((len(images),), 8), 9).float() + 0 * (
            images.mean((1, 2, 3)).unsqueeze(1)
        )


def test_a_outcome_is_that_of_the_model_itself_and_not_of_the_copy(net, split):
    how = AttackSettings.pgd(0.0, steps=2).model_copy(update={"until_fooled": True})
    evaluated = EvaluatedModel(net, split, {}, 0)
    everyone = np.arange(len(split))
    clean = evaluated.is_correct(*evaluated.batch_at(everyone)[:2]).numpy()
    wrong = replace(evaluated, attack_copy=Wrong())
    outcome = GradientAttack(name="pgd", threat="robust", attack=how).run(wrong, everyone)
    assert clean.sum() > 0
    np.testing.assert_array_equal(outcome.correct, clean)


def test_images_that_fool_only_the_copy_are_attacked_again_on_the_model(net, split):
    how = AttackSettings.pgd(16 / 255, steps=4).model_copy(update={"until_fooled": True})
    task = GradientAttack(name="pgd", threat="robust", attack=how)
    evaluated, everyone = EvaluatedModel(net, split, {}, 0), np.arange(len(split))
    wanted = task.run(evaluated, everyone).correct
    found = task.run(replace(evaluated, attack_copy=Wrong()), everyone).correct
    assert wanted.sum() < len(split) / 2
    np.testing.assert_array_equal(found, wanted)
