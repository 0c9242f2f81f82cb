"""What a measured accuracy is worth: intervals and paired tests."""

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
        The probability, in [0, 1], of a split at least as uneven under a fair coin; 0 where it is
        too small for a float.

    Raises:
        ValueError: the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"needs the same images of both models, not {a.shape} and {b.shape}")
    return sign_flip(a.astype(np.int64) - b)


def sign_flip(differences: NDArray[np.int64]) -> float:
    """Return the p-value of the exact two-sided sign-flip test of a sum of differences.

    The null hypothesis is that each difference is as likely to be ``d`` as ``-d`` and that they
    are independent of each other (Fisher 1935); what each is the sum of need not be independent.
    With differences of 1, 0 and -1 it is the exact McNemar test.

    Args:
        differences: whole numbers, shape (n,).

    Returns:
        The share of all sign patterns, in [0, 1], whose sum is at least as far from 0; 0 where it
        is too small for a float.
    """
    sizes, counts = np.unique(np.abs(differences), return_counts=True)
    # Of all sizes together, so much may be positive at most for a sum as low as was found.
    cut = int(sizes @ counts - abs(int(differences.sum()))) // 2
    below = np.zeros(cut + 1)  # the probability that 0 ... cut are positive, size after size
    below[0] = 1.0
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        if size:
            below = _tossed(below, size, count)
    return min(1.0, 2 * math.fsum(below))


def _tossed(below: NDArray[np.float64], size: int, count: int) -> NDArray[np.float64]:
    """Return the distribution ``below`` after ``count`` more fair coins that are worth ``size``."""
    after = np.zeros_like(below)
    ways = 1
    for heads in range(min(count, (len(below) - 1) // size) + 1):
        # Whole numbers until here: no rounding, however many images.
        after[heads * size :] += ways / (1 << count) * below[: len(below) - heads * size]
        ways = ways * (count - heads) // (heads + 1)
    return after


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (divisor n - 1; 0 for one value).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("needs at least one value")
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95% interval of the mean that Student's t distribution gives.

    Raises:
        ValueError: there are fewer than two values.
    """
    # Imported here because it is slow, and one seed does without.
    from scipy.special import stdtrit

    if len(values) < 2:
        raise ValueError("needs at least two values")
    mean, std = mean_and_std(values)
    half = float(stdtrit(len(values) - 1, 0.975)) * std / math.sqrt(len(values))
    return mean - half, mean + half
