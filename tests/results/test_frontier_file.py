"""The frontier of a hardened run, the choice from it, and the mean accuracy over epsilons."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gratis.errors import GratisError
from gratis.results import Frontier, FrontierPoint, choose, expected_accuracy

EPSILON = 4 / 255
SHARE = st.floats(0, 1)


def point(alpha, clean, middle, pgd):
    return FrontierPoint(alpha=alpha, curve=((0.0, clean), (EPSILON / 2, middle), (EPSILON, pgd)))


POINTS = (
    point(0.0, 0.94, 0.30, 0.05),
    point(0.4, 0.93, 0.50, 0.25),
    point(0.8, 0.92, 0.70, 0.45),
    point(0.9, 0.88, 0.72, 0.50),
    point(1.0, 0.80, 0.66, 0.52),
)


@pytest.fixture
def frontier():
    return Frontier(
        epsilon=EPSILON, pgd_steps=5, images=100, keep_clean=2.0, points=POINTS, chosen=0.8
    )


def test_the_expected_accuracy_is_the_area_under_the_curve():
    assert expected_accuracy([(0, 0.9), (2, 0.5), (4, 0.1)], 4) == pytest.approx(0.5)
    assert expected_accuracy([(0, 0.9), (1, 0.5), (4, 0.2)], 4) == pytest.approx(
        (0.7 + 3 * 0.35) / 4
    )
    # The target is between two epsilons, and the curve goes beyond it.
    assert expected_accuracy([(0, 1.0), (4, 0.6), (8, 0.2)], 6) == pytest.approx(0.7)
    assert expected_accuracy([(0, 0.8), (4, 0.2)], 0) == 0.8


def test_a_curve_that_ends_before_the_target_has_no_expected_accuracy():
    assert expected_accuracy([], 4) is None
    assert expected_accuracy([(0, 0.9), (2, 0.5)], 4) is None
    # Six digits of 16/255 are enough.
    assert expected_accuracy([(0, 0.9), (0.0627451, 0.5)], 16 / 255) is not None


@given(st.lists(SHARE, min_size=2, max_size=8), st.integers(1, 7))
def test_the_expected_accuracy_is_that_of_a_fine_grid(accuracies, target):
    target = min(target, len(accuracies) - 1)
    curve = list(enumerate(accuracies))
    found = expected_accuracy(curve, target)
    fine = (np.arange(100_000) + 0.5) * target / 100_000
    assert found == pytest.approx(np.interp(fine, *zip(*curve, strict=True)).mean(), abs=1e-4)
    assert min(accuracies) - 1e-9 <= found <= max(accuracies) + 1e-9


@pytest.mark.parametrize(
    ("keep_clean", "alpha"), [(None, 0.9), (0, 0.0), (1, 0.4), (2, 0.8), (6, 0.9), (100, 1.0)]
)
def test_the_choice_keeps_the_clean_accuracy_that_was_asked_for(keep_clean, alpha):
    assert choose(POINTS, keep_clean).alpha == alpha


@given(st.lists(st.tuples(SHARE, SHARE, SHARE), min_size=1, max_size=6), st.floats(0, 100))
def test_no_model_that_may_be_chosen_is_more_robust(curves, keep_clean):
    points = tuple(point(k / 10, *curve) for k, curve in enumerate(curves))
    chosen = choose(points, keep_clean)
    assert chosen.clean >= points[0].clean - keep_clean / 100 - 1e-6
    for each in points:
        if each.clean >= points[0].clean - keep_clean / 100:
            assert each.pgd <= chosen.pgd
    assert max(each.expected for each in points) == choose(points, None).expected


def test_a_frontier_reads_back_from_its_file(frontier, tmp_path):
    path = tmp_path / "frontier.json"
    frontier.write(path)
    assert Frontier.read(path) == frontier
    assert frontier.chosen_point == POINTS[2]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("chosen", 0.5),
        ("points", []),
        ("epsilon", 2),
        ("points", [{"alpha": 0.0, "curve": [[0.0, 0.5]]}]),
        ("points", [{"alpha": 0.2, "curve": [[0.0, 0.5], [0.1, 0.1]]}]),
        ("points", [{"alpha": 0.0, "curve": [[0.0, 1.5], [0.1, 0.1]]}]),
    ],
)
def test_a_frontier_that_contradicts_itself_is_refused(frontier, tmp_path, key, value):
    path = tmp_path / "frontier.json"
    content = json.loads(frontier.model_dump_json())
    path.write_text(json.dumps(content | {key: value}))
    with pytest.raises(GratisError, match=r"frontier\.json \(delete it and resume the run\)"):
        Frontier.read(path)
