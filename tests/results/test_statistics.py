import math
import subprocess
import sys
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp, ttest_rel

import gratis.results
from gratis.results import (
    clearly_above_chance,
    mcnemar,
    mean_and_std,
    paired_t_test,
    t_interval,
    wilson,
)


@pytest.mark.parametrize("right, n", [(0, 10), (10, 10), (7, 10), (357, 500), (9999, 10000)])
def test_wilson_bounds_solve_the_score_equation(right, n):
    share, z = right / n, NormalDist().inv_cdf(0.975)
    low, high = wilson(share, n)
    assert 0 <= low <= share <= high <= 1 and low < high
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-15)
    for bound in (low, high):
        assert (share - bound) ** 2 == pytest.approx(z**2 * bound * (1 - bound) / n, abs=1e-12)


def test_wilson_touches_the_ends():
    assert wilson(0.0, 50)[0] == 0 and wilson(0.0, 50)[1] > 0.05
    assert wilson(1.0, 50)[1] == 1 and wilson(1.0, 50)[0] < 0.95
    assert wilson(0.5, 100) == pytest.approx((0.40383, 0.59617), abs=1e-5)


@pytest.mark.parametrize("share, n", [(-0.1, 10), (1.1, 10), (0.5, 0)])
def test_wilson_refuses_a_share_outside_0_and_1(share, n):
    with pytest.raises(ValueError, match="share"):
        wilson(share, n)


@pytest.mark.parametrize("only_a, only_b", [(0, 0), (1, 0), (5, 5), (3, 14), (40, 90), (900, 700)])
def test_mcnemar_counts_the_splits_that_are_as_uneven(only_a, only_b):
    both = 20
    a = np.repeat([True, False, True], [only_a, only_b, both])
    b = np.repeat([False, True, True], [only_a, only_b, both])
    n = only_a + only_b
    tail = sum(math.comb(n, heads) for heads in range(min(only_a, only_b) + 1))
    assert mcnemar(a, b) == pytest.approx(float(min(1, 2 * Fraction(tail, 2**n))), rel=1e-9)
    assert mcnemar(a, b) == mcnemar(b, a)


def test_mcnemar_refuses_different_images():
    with pytest.raises(ValueError, match="same images"):
        mcnemar(np.ones(3, dtype=bool), np.ones(4, dtype=bool))


def test_mcnemar_is_zero_where_no_float_is_small_enough():
    assert mcnemar(np.ones(2000, dtype=bool), np.zeros(2000, dtype=bool)) == 0
    assert 0 < mcnemar(np.ones(1000, dtype=bool), np.zeros(1000, dtype=bool)) < 1e-300


def test_the_t_interval_agrees_with_scipy():
    values = [0.41, 0.44, 0.39]
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert t_interval(values) == pytest.approx((expected.low, expected.high), abs=1e-12)
    with pytest.raises(ValueError, match="at least two"):
        t_interval([0.5])


def test_the_paired_t_test_agrees_with_scipy_on_the_two_rows():
    a, b = [0.41, 0.44, 0.39], [0.40, 0.41, 0.35]
    low, high, p = paired_t_test([x - y for x, y in zip(a, b, strict=True)])
    expected = ttest_rel(a, b)
    assert p == pytest.approx(expected.pvalue)
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval()))
    assert (p < 0.05) == (low > 0)
    with pytest.raises(ValueError, match="at least two"):
        paired_t_test([0.1])


def test_equal_differences_have_no_p_value():
    assert paired_t_test([0.1, 0.1, 0.1]) == (pytest.approx(0.1), pytest.approx(0.1), None)
    rounded = [100 * (0.35 - 0.34), 100 * (0.85 - 0.84), 100 * (0.15 - 0.14)]
    assert len(set(rounded)) > 1 and paired_t_test(rounded).p is None
    assert paired_t_test([0.0, 0.0]).p is None


def test_mean_and_sample_deviation():
    assert mean_and_std([1.0, 3.0]) == pytest.approx((2.0, 2**0.5))
    assert mean_and_std([0.4]) == (0.4, 0.0)
    with pytest.raises(ValueError, match="at least one"):
        mean_and_std([])


def test_results_import_neither_torch_nor_the_slow_part_of_scipy():
    code = """
import sys
import numpy as np
from gratis import results
results.wilson(0.5, 10), results.paired_t_test([0.1, 0.2])
results.mcnemar(np.array([True]), np.array([False]))
assert not {"torch", "scipy.stats"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_export_is_there():
    assert all(getattr(gratis.results, name) is not None for name in gratis.results.__all__)


@pytest.mark.parametrize(
    ("share", "n", "guessing", "above"),
    [
        (0.2, 200, 0.1, False),  # two of ten classes named well
        (0.35, 200, 0.1, True),
        (0.5, 4, 0.2, False),  # too few images
        (0.70, 200, 0.5, False),
        (0.80, 200, 0.5, True),
        (0.03, 2000, 0.005, True),
        (0.01, 2000, 0.005, False),
        (0.0, 10, 0.1, False),
        (1.0, 10, 1.0, False),
    ],
)
def test_above_chance_is_more_than_noise_and_more_than_a_few_classes(share, n, guessing, above):
    assert clearly_above_chance(share, n, guessing) is above
