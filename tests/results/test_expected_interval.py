"""How uncertain an expected accuracy is, and a difference of accuracies."""

import numpy as np
import pytest

from gratis.results import difference, effective_images, expected_accuracy

EPSILONS = np.array([0.0, 1.0, 2.0, 3.0, 4.0])


def survived(seed, images=4000):
    """Whether each of some images survives each epsilon; a fooled one stays fooled."""
    strength = np.random.default_rng(seed).gamma(1.5, 1.5, images) - 0.5
    return strength[:, None] > EPSILONS


def curve_of(correct):
    return list(zip(EPSILONS.tolist(), correct.mean(0).tolist(), strict=True))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("target", [4.0, 2.5])
def test_the_effective_images_are_those_of_the_spread_over_images(seed, target):
    correct = survived(seed)
    grid = np.linspace(0, target, 2001)
    each = np.array([np.trapezoid(np.interp(grid, EPSILONS, row), grid) for row in correct * 1.0])
    mean, variance = each.mean() / target, each.var() / target**2
    curve = curve_of(correct)
    assert expected_accuracy(curve, target) == pytest.approx(mean, abs=1e-4)
    wanted = len(correct) * mean * (1 - mean) / variance
    # Between two measured epsilons an image is interpolated, which the curve cannot tell.
    tolerance = 0.01 if target == 4 else 0.1
    assert effective_images(curve, target, len(correct)) == pytest.approx(wanted, rel=tolerance)


@pytest.mark.parametrize("accuracy", [0.0, 0.4, 1.0])
def test_without_an_effect_of_epsilon_it_is_a_share(accuracy):
    curve = [(epsilon, accuracy) for epsilon in EPSILONS]
    assert effective_images(curve, 4, 250) == 250
    assert effective_images([(0.0, accuracy)], 0, 250) == 250


@pytest.mark.parametrize(("share", "n", "m"), [(0.5, 100, 300), (0.1, 200, 200), (0.95, 500, 80)])
def test_the_interval_of_a_difference_covers_zero_for_equal_models(share, n, m):
    draw = np.random.default_rng(0)
    pairs = zip(draw.binomial(n, share, 1000), draw.binomial(m, share, 1000), strict=True)
    found = [difference((a / n, n), (b / m, m)) for a, b in pairs]
    assert 0.92 < np.mean([low <= 0 <= high for low, high in found]) < 0.985


def test_the_interval_of_a_difference_is_newcombes():
    # Newcombe (1998), table II, (a) and (g), method 10.
    low, high = difference((48 / 80, 80), (56 / 70, 70))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    low, high = difference((0.0, 20), (10 / 10, 10))
    assert low == pytest.approx(0.6791, abs=1e-4) and high == 1
