import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binomtest

from gratis.evaluate import mcnemar, mean_and_std, wilson


@pytest.mark.parametrize("right, n", [(0, 10), (10, 10), (7, 10), (357, 500), (9999, 10000)])
def test_wilson_agrees_with_scipy(right, n):
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson(right / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_touches_the_ends_and_contains_the_share():
    assert wilson(0.0, 50)[0] == 0 and wilson(0.0, 50)[1] > 0.05
    assert wilson(1.0, 50)[1] == 1 and wilson(1.0, 50)[0] < 0.95
    assert wilson(0.5, 100) == pytest.approx((0.40383, 0.59617), abs=1e-5)


@pytest.mark.parametrize("share, n", [(-0.1, 10), (1.1, 10), (0.5, 0)])
def test_wilson_refuses_what_is_no_share(share, n):
    with pytest.raises(ValueError, match="share"):
        wilson(share, n)


@pytest.mark.parametrize("only_a, only_b", [(0, 0), (1, 0), (5, 5), (3, 14), (40, 90), (900, 700)])
def test_mcnemar_agrees_with_the_binomial_test(only_a, only_b):
    both = 20
    a = np.repeat([True, False, True], [only_a, only_b, both])
    b = np.repeat([False, True, True], [only_a, only_b, both])
    discordant = only_a + only_b
    expected = binomtest(only_a, discordant).pvalue if discordant else 1.0
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(a, b) == mcnemar(b, a)


def test_mcnemar_refuses_different_images():
    with pytest.raises(ValueError, match="same images"):
        mcnemar(np.ones(3, dtype=bool), np.ones(4, dtype=bool))


def test_mean_and_sample_deviation():
    assert mean_and_std([1.0, 3.0]) == pytest.approx((2.0, 2**0.5))
    assert mean_and_std([0.4]) == (0.4, 0.0)
    with pytest.raises(ValueError, match="at least one"):
        mean_and_std([])


def test_statistics_do_not_wait_for_torch():
    code = "import sys, gratis.evaluate; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_export_is_there():
    import gratis.evaluate

    assert all(getattr(gratis.evaluate, name) is not None for name in gratis.evaluate.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = gratis.evaluate.nothing
