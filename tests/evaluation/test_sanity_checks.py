"""Each planted defect fails the check that is meant for it, and sound models pass."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import digits_models
from digits_models import EPSILON, LARGE
from gratis.attacks import frozen
from gratis.evaluation import EvaluateSettings, measure
from gratis.evaluation.attack_comparisons import noise, single_step, transfer
from gratis.evaluation.evaluated_model import EvaluatedModel, FixedImages
from gratis.evaluation.measure import evenly_spaced
from gratis.evaluation.sanity_attacks import SanityAttacks
from gratis.evaluation.sanity_checks import CHECKS, IMAGES, run_checks, too_weak
from gratis.validation_sets import build, load
from gratis.validation_sets.transfer import attacked

NAMES = {
    "repeatable",
    "gradient",
    "directional derivatives",
    "fgsm against pgd",
    "more steps",
    "random noise",
    "huge epsilon",
    "catastrophic overfitting",
}


class Planted(nn.Module):
    """A network with a defect around it."""

    def __init__(self, net, before=lambda images: images, after=lambda logits: logits):
        super().__init__()
        self.net, self.before, self.after = net, before, after

    def forward(self, images):
        return self.after(self.net(self.before(images)))


def rounded(images):
    return (images * 8).round() / 8


def resized(images):
    """Return images after random resizing and padding, a defence that masks gradients."""
    size = int(torch.randint(6, 9, ()))
    left, top = (int(torch.randint(0, 9 - size, ())) for _ in range(2))
    small = nn.functional.interpolate(images, (size, size), mode="bilinear")
    return nn.functional.pad(small, (left, 8 - size - left, top, 8 - size - top))


DEFECTS = {
    "rounded input": (
        dict(before=rounded),
        {"gradient", "directional derivatives", "huge epsilon"},
    ),
    "noisy input": (dict(before=lambda x: x + 0.05 * torch.randn_like(x)), {"repeatable"}),
    "resized input": (dict(before=resized), {"repeatable"}),
}


def checks_of(net, epsilon=EPSILON, **fixed_sets):
    split = digits_models.digits().validation
    with frozen(net):
        found = run_checks(
            EvaluatedModel(net, split, fixed_sets, 0),
            evenly_spaced(len(split), IMAGES),
            epsilon,
            150,
        )
    return {check.name: check for check in found}


def failed(checks):
    return {name for name, check in checks.items() if not check.passed}


@pytest.mark.parametrize("sound", [digits_models.natural, digits_models.robust])
def test_a_sound_model_passes_every_check(sound):
    checks = checks_of(sound())
    assert checks.keys() == NAMES and failed(checks) == set()
    assert checks["repeatable"].images == IMAGES >= checks["gradient"].images > 0.9 * IMAGES


def test_one_sound_model_is_robust_and_the_other_is_not():
    pgd = [
        checks_of(net())["catastrophic overfitting"].figures["accuracy under PGD-50"]
        for net in (digits_models.natural, digits_models.robust)
    ]
    assert pgd[0] < 0.2 < 0.55 < pgd[1]


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("under", [digits_models.natural, digits_models.robust])
def test_a_planted_defect_is_caught(defect, under):
    torch.manual_seed(0)
    changes, expected = DEFECTS[defect]
    found = failed(checks_of(Planted(under(), **changes)))
    assert expected <= found
    # Where logits are random, an attack with more passes fools more images by chance.
    assert "repeatable" in expected or found <= expected | {"random noise", "huge epsilon"}


@pytest.mark.parametrize("under", [digits_models.natural, digits_models.robust])
def test_large_logits_are_attacked_as_well_as_usual_ones(under):
    """Attacks scale them, so that their softmax does not hide the gradient."""
    checks = checks_of(Planted(under(), after=lambda logits: 15 * logits))
    assert failed(checks) == set()
    assert set(checks["gradient"].figures.values()) == {0}


def test_the_remedy_of_a_step_without_a_gradient():
    rounded = checks_of(Planted(digits_models.robust(), **DEFECTS["rounded input"][0]))["gradient"]
    assert set(rounded.figures.values()) == {1}
    assert "BPDA" in rounded.advice


def test_a_catastrophically_overfitted_model_is_caught():
    found = checks_of(digits_models.overfitted(), LARGE)
    assert failed(found) == {"catastrophic overfitting"}
    figures = found["catastrophic overfitting"].figures
    # How far it overfits differs between machines and numbers of threads.
    assert figures["accuracy under FGSM"] - figures["accuracy under PGD-50"] > 0.35


def test_a_masked_model_is_fooled_by_another_models_gradients():
    split = digits_models.digits().validation
    with frozen(digits_models.natural()):
        images = attacked(digits_models.natural(), split, EPSILON)
    transfer_set = FixedImages(images, "")
    assert failed(checks_of(digits_models.robust(), transfer=transfer_set)) == set()
    assert failed(checks_of(digits_models.natural(), transfer=transfer_set)) == set()
    masked = Planted(digits_models.natural(), before=rounded)
    assert "transfer against white box" in failed(checks_of(masked, transfer=transfer_set))


def evidence(n=100, **fooled):
    """Return the evidence of a sound model, apart from the numbers of images in ``fooled``."""
    counts = {"noise": 2, "fgsm": 30, "few": 40, "many": 45, "huge": n, "transfer": 5} | fooled
    flags = {name: np.arange(n) < count for name, count in counts.items()}
    never = np.zeros(n, dtype=bool)
    vanished = {"cross entropy": never, "margin": never, "logit": never}
    return SanityAttacks(n + 10, 0.1, 0.0, vanished, flags, np.ones((3, 2, n, 5)))


@pytest.mark.parametrize(
    ("fooled", "name"),
    [
        (dict(fgsm=60), "fgsm against pgd"),
        (dict(few=60), "more steps"),
        (dict(transfer=60), "transfer against white box"),
        (dict(noise=60), "random noise"),
        (dict(noise=45), "random noise"),
        (dict(huge=80), "huge epsilon"),
        (dict(fgsm=20, many=75), "catastrophic overfitting"),
        (dict(fgsm=70, many=95), None),  # fooled by single steps too: no defence at all
        (dict(fgsm=50), None),  # five more are chance
        (dict(few=50), None),
        (dict(transfer=50), None),
        (dict(huge=97), None),
        (dict(noise=100, fgsm=100, few=100, many=100, transfer=100), None),
        (dict(noise=0, fgsm=0, few=0, many=0, transfer=0), None),  # a tiny epsilon
    ],
)
def test_each_check_finds_its_own_sign_and_ignores_chance(fooled, name):
    found = {check.name for run in CHECKS if not (check := run(evidence(**fooled))).passed}
    assert found == ({name} if name else set())


def test_a_difference_must_be_on_the_same_images():
    """Ten images on each side are no sign; ten on one side are."""
    both = evidence(many=20)
    both.fooled["fgsm"][:] = np.roll(both.fooled["many"], 10)
    assert single_step(both).passed
    both.fooled["fgsm"][:] = np.arange(100) < 30
    assert not single_step(both).passed


def test_a_model_no_better_than_guessing_is_too_weak_to_judge():
    # Barely trained networks name one class, whose images survive every attack.
    one = 10 * torch.eye(10)[3]
    found = checks_of(Planted(digits_models.network(), after=lambda logits: logits + one))
    assert found.keys() == {"repeatable", "better than guessing"}
    assert failed(found) == {"better than guessing"}
    assert "too weak to judge" in found["better than guessing"].advice


@pytest.mark.parametrize(("right", "weak"), [(22, True), (30, False)])
def test_too_weak_is_decided_beyond_chance(right, weak):
    """On 200 images of ten classes, 11% may be chance and 15% are not."""
    seen = evidence(right)
    assert (too_weak(replace(seen, images=200)) is not None) == weak


def test_on_few_or_no_images_every_check_passes():
    nothing = evidence(0)
    assert all(run(nothing).passed for run in CHECKS)
    assert noise(evidence(20, noise=1, many=1)).passed
    del nothing.fooled["transfer"]
    assert transfer(nothing) is None


@pytest.mark.parametrize(("suite", "checked"), [("table", False), ("standard", True)])
def test_suites_beyond_the_table_end_with_the_checks(tmp_path, suite, checked):
    split = digits_models.digits().validation
    build(tmp_path, split, False, None, EPSILON, 0)
    settings = EvaluateSettings(
        suite=suite, epsilon=EPSILON, images=40, pgd_steps=2, restarts=1, epsilon_l2=0.1
    )
    found = measure(digits_models.natural(), split, load(tmp_path, split), settings, 0)
    further = {"margin against cross entropy", "square against gradients"}
    assert {check.name for check in found.checks} == (NAMES | further if checked else set())
    assert all(check.images <= 40 for check in found.checks)
