"""When a claimed accuracy holds."""

import pytest

from gratis.attacks import AttackSettings
from gratis.results import Results, TaskResult
from gratis.run.verification import compare

EPSILON = 0.1


def results(n=1000, curve=(), **accuracies):
    fields = {
        **{"recipe": "r", "title": "R", "seed": 0, "classes": 10, "epsilon": EPSILON},
        **{"pgd_steps": 20, "data": "digits", "train_images": 1, "backbone": "b", "device": "cpu"},
        **{"parameters": 1, "image_size": 8, "input_size": 8},
        **{"passes": 1, "epochs": 1, "seconds": 1, "clean": 0.8, "geometric": 0.5, "n": n},
    }
    tasks = [
        TaskResult(
            name=f"pgd {share}",
            threat="curve",
            standalone=False,
            accuracy=accuracy,
            images=n,
            settings={"attack": AttackSettings(epsilon=share * EPSILON).model_dump()},
        )
        for share, accuracy in curve
    ]
    return Results(**(fields | accuracies), tasks=tuple(tasks))


def holds(claimed, measured, same_data=True):
    found = compare(claimed, measured, same_data)
    return {claim.metric: claim.holds for claim in found.claims}


@pytest.mark.parametrize(("measured", "expected"), [(0.705, True), (0.706, False), (0.695, True)])
def test_on_the_same_images_a_claim_is_equal_up_to_rounding(measured, expected):
    assert holds(results(pgd=0.7), results(pgd=measured))["pgd"] is expected


def test_of_few_images_two_may_differ():
    assert holds(results(n=50, pgd=0.7), results(n=50, pgd=0.74))["pgd"]
    assert not holds(results(n=50, pgd=0.7), results(n=50, pgd=0.76))["pgd"]


@pytest.mark.parametrize("change", [{"same_data": False}, {"n": 500}])
def test_on_other_images_both_are_samples(change):
    n, same = change.get("n", 1000), change.get("same_data", True)
    assert not compare(results(), results(n=n), same).same_images
    assert holds(results(pgd=0.7), results(n=n, pgd=0.67), same)["pgd"]
    assert not holds(results(pgd=0.7), results(n=n, pgd=0.62), same)["pgd"]
    # The claim is uncertain too: of 40 images it says little.
    assert holds(results(n=40, pgd=0.7), results(n=n, pgd=0.62), same)["pgd"]


def test_an_expected_accuracy_is_no_share():
    curve, other = ((0.5, 0.5), (1.0, 0.2)), ((0.5, 0.45), (1.0, 0.15))
    claimed = results(curve=curve, expected=0.5)
    measured = results(curve=other, expected=0.4625)
    (low, high) = next(
        (claim.low, claim.high)
        for claim in compare(claimed, measured, False).claims
        if claim.metric == "expected"
    )
    # As a share of 1,000 images the interval would be 8.7 points wide.
    assert 0.04 < high - low < 0.07


def test_what_was_not_measured_is_neither_true_nor_false():
    assert holds(results(pgd=0.7), results())["pgd"] is None
