"""The report says which model to choose: the Pareto front, guessing, classes never right."""

import numpy as np
import pytest

from gratis.report.model_choice import choices, pareto_front
from gratis.report.rows import group
from gratis.report.runs import Run
from gratis.results import Check, SampleImages
from gratis.results.measurement import Measurement


def said(result, *points, runs=(), **changes):
    results = [result(recipe=name, clean=clean, pgd=pgd, **changes) for name, clean, pgd in points]
    return choices(group(results), runs, "pgd", "PGD-20")


POINTS = (("natural", 0.9, 0.0), ("free", 0.7, 0.3), ("weak", 0.6, 0.2), ("pgd", 0.6, 0.4))


def test_the_front_has_the_models_that_no_other_beats(result):
    rows = group([result(recipe=name, clean=clean, pgd=pgd) for name, clean, pgd in POINTS])
    assert [row.first.recipe for row in pareto_front(rows, "pgd")] == ["natural", "free", "pgd"]
    text = said(result, *POINTS)[0]
    assert text.startswith("No model is better than these both without an attack and under PGD-20:")
    assert "“Natural” (90.0% clean, 0.0% attacked), “Free” (70.0% clean, 30.0% attacked)" in text
    assert "Weak" not in text


def test_of_a_long_front_the_ends_are_named_and_long_names_end_with_dots(result):
    points = [(f"m{number}", 0.9 - number / 100, number / 50) for number in range(10)]
    points[9] = ("words " * 100, *points[9][1:])
    text = said(result, *points)[0]
    assert "“M2” (88.0% clean, 4.0% attacked), 4 others between them, “M7”" in text
    assert "M3" not in text
    assert "Words …”" in text
    assert len(text) < 500


def test_equal_models_do_not_beat_each_other(result):
    rows = group([result(recipe=name, clean=0.5, pgd=0.2) for name in ("a", "b")])
    assert len(pareto_front(rows, "pgd")) == 2


def test_a_model_that_is_best_in_both_is_named_and_a_doubtful_one_marked(result):
    assert said(result, ("a", 0.9, 0.4), ("b", 0.8, 0.3))[0].startswith("Choose “A” (90.0% clean")
    check = Check(name="gradient", passed=False, figures={}, rule="r", advice="a", images=9)
    text = said(result, ("a", 0.9, 0.4), ("b", 0.8, 0.3), checks=(check,))[0]
    assert "40.0% attacked, failed sanity checks)" in text


@pytest.mark.parametrize(
    ("clean", "ending"),
    [(0.9, "every model is clearly better"), (0.12, "not clearly worse than “B” without")],
)
def test_guessing_is_the_baseline_of_all(result, clean, ending):
    (text,) = said(result, ("b", clean, 0.0))
    assert text.startswith("Guessing one of the 10 classes is right for 10.0% of the images")
    assert ending in text


def test_classes_that_are_never_right_are_named(result, tmp_path):
    labels = np.repeat(np.arange(4), [10, 10, 10, 3])
    clean = (labels == 0) | ((labels == 2) & (np.arange(33) % 2 == 0))
    samples = SampleImages(
        labels=labels, classes=("ant", "bee", "cat", "dog"), attack=None, images=()
    )
    measurement = Measurement(np.arange(33), {"clean": clean})
    run = Run(tmp_path, result("a"), measurement, (), sample_images=samples)
    # Three images of dogs are too few.
    assert said(result, ("a", 0.5, 0.1), runs=[run])[-1] == (
        "“A” is wrong on every image of 1 of 4 classes, without an attack: bee."
    )
    assert len(said(result, ("a", 0.5, 0.1), runs=[])) == 1
