"""What a measured accuracy is worth: intervals, paired tests, and the sign of a fooled eye."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

import numpy as np
from numpy.typing import NDArray

_Z = NormalDist().inv_cdf(0.975)


def wilson(correct_share: float, n: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval of a share.

    It stays inside [0, 1] and has a width at 0 and 1 too (Wilson 1927).

    Args:
        correct_share: share of the images that are classified correctly, in [0, 1].
        n: number of images, at least 1.

    Returns:
        The lower and the upper end, in [0, 1].

    Raises:
        ValueError: the share or ``n`` is out of range.
    """
    if n < 1 or not 0 <= correct_share <= 1:
        raise ValueError(f"needs a share in [0, 1] and n >= 1, not {correct_share} and {n}")
    stretch = 1 + _Z**2 / n
    middle = (correct_share + _Z**2 / (2 * n)) / stretch
    variance = correct_share * (1 - correct_share) / n + _Z**2 / (4 * n**2)
    half = _Z * math.sqrt(variance) / stretch
    # At the ends the exact interval touches 0 or 1; rounding must not carry it past the share.
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return min(low, correct_share), max(high, correct_share)


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the p-value of the exact two-sided McNemar test.

    The null hypothesis is that two models are right equally often; only the images on which
    exactly one of them is right tell anything (McNemar 1947).

    Args:
        a: shape (n,), whether the first model is right about each image.
        b: shape (n,), the same of the second model, on the same images in the same order.

    Returns:
        The probability, in (0, 1], of a split at least as uneven under a fair coin.

    Raises:
        ValueError: the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"needs the same images of both models, not {a.shape} and {b.shape}")
    only_a = int(np.count_nonzero(a & ~b))
    only_b = int(np.count_nonzero(b & ~a))
    tosses, fewer = only_a + only_b, min(only_a, only_b)
    # Whole numbers throughout: no rounding, however many images.
    ways = tail = 1
    for heads in range(1, fewer + 1):
        ways = ways * (tosses - heads + 1) // heads
        tail += ways
    return min(1.0, 2 * tail / (1 << tosses))


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (divisor n - 1; 0 for one value).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("needs at least one value")
    return fmean(values), stdev(values) if len(values) > 1 else 0.0
