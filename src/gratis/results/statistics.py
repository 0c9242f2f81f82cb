"""Confidence intervals and paired tests for measured accuracies.

scipy is slow to import, so each function imports what it needs, and nothing needs scipy.stats,
which takes a second.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9
_Z = NormalDist().inv_cdf(0.975)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval (Wilson 1927) of a share in [0, 1] of ``n`` images.

    The interval lies within [0, 1], and is not empty at a share of 0 or 1.
    """
    if n < 1 or not 0 <= share <= 1:
        raise ValueError(f"needs a share in [0, 1] and n >= 1, not {share} and {n}")
    count = round(share * n)
    p, weight = count / n, 1 / (1 + _Z**2 / n)
    middle = weight * (p + _Z**2 / (2 * n))
    half = weight * _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    # Exact at the ends, where rounding could leave [0, 1].
    return 0.0 if count == 0 else middle - half, 1.0 if count == n else middle + half


def difference(first: tuple[float, int], second: tuple[float, int]) -> tuple[float, float]:
    """Return the 95% interval of ``second - first`` for shares of different images.

    It is method 10 of Newcombe (1998), which combines the Wilson intervals of both.

    Args:
        first: a share in [0, 1], and of how many images.
        second: the same.

    Raises:
        ValueError: as :func:`wilson`.
    """
    (a, n), (b, m) = first, second
    (a_low, a_high), (b_low, b_high) = wilson(a, n), wilson(b, m)
    return (
        b - a - math.hypot(b - b_low, a_high - a),
        b - a + math.hypot(b_high - b, a - a_low),
    )


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the p-value of the exact two-sided McNemar test (McNemar 1947).

    The null hypothesis is that two models have the same accuracy. ``a`` and ``b`` (n,) say whether
    each is correct on the same images. The test uses the images that exactly one of the models
    classifies correctly. p is 0 where it is too small for a float.
    """
    from scipy.special import bdtr

    if a.shape != b.shape:
        raise ValueError(f"needs the same images of both models, not {a.shape} and {b.shape}")
    only_a, only_b = np.count_nonzero(a & ~b), np.count_nonzero(b & ~a)
    # The two tails are alike, and overlap where the counts are equal.
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def clearly_above_chance(share: float, n: int, guessing: float, times: int = 3) -> bool:
    """Return whether an accuracy cannot be that of a model which knows nothing of the images.

    Such a model often names two or three classes only. Its accuracy then depends on which, and
    beats ``guessing`` (always naming the most frequent class) by more than the noise of ``n``
    images. So the accuracy must be significantly above guessing, and also ``times`` as high, or
    half way to 1 where that is less.
    """
    return share > min(times * guessing, (1 + guessing) / 2) and wilson(share, n)[0] > guessing


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (divisor n - 1; 0 for one value).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("needs at least one value")
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


class SeedTest(NamedTuple):
    """The mean of differences between seeds: its 95% interval, and the p-value of no difference.

    ``p`` is ``None`` if all differences are equal: their spread is then unknown.
    """

    low: float
    high: float
    p: float | None


def paired_t_test(differences: Sequence[float]) -> SeedTest:
    """Return the two-sided paired t-test (Student 1908) of two recipes' differences by seed.

    The test is paired, not Welch's: two runs of one seed share validation images, order of the
    images and, where their networks are alike, initial weights. The paired test holds whether or
    not that correlates them; Welch's assumes that it does not.
    """
    from scipy.special import stdtr

    low, high = t_interval(differences)
    _, std = mean_and_std(differences)
    # Equal differences of accuracies differ in their last bits.
    if std <= _ROUNDING * max(map(abs, differences)):
        return SeedTest(low, high, None)
    t = fmean(differences) / (std / math.sqrt(len(differences)))
    return SeedTest(low, high, 2 * float(stdtr(len(differences) - 1, -abs(t))))


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95% confidence interval of the mean by Student's t distribution.

    Raises:
        ValueError: there are fewer than two values.
    """
    from scipy.special import stdtrit

    if len(values) < 2:
        raise ValueError("needs at least two values")
    mean, std = mean_and_std(values)
    half = float(stdtrit(len(values) - 1, 0.975)) * std / math.sqrt(len(values))
    return mean - half, mean + half
