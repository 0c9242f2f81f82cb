"""The mean accuracy over all epsilons up to the target."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# An epsilon that was written with six digits is still the target.
_ROUNDING = 1e-5


def expected_accuracy(curve: Sequence[tuple[float, float]], epsilon: float) -> float | None:
    """Return the mean accuracy in [0, 1] over epsilons that are uniform in [0, ``epsilon``].

    ``curve`` has pairs of epsilon and accuracy, by rising epsilon from 0, and is interpolated
    linearly; ``None`` if it ends before ``epsilon``. One number thus covers natural images, weak
    and strong attacks (Epsilon-Scheduling, arXiv 2509.23325).
    """
    if not curve or curve[-1][0] < epsilon * (1 - _ROUNDING):
        return None
    weights, accuracies = _weighted(curve, epsilon)
    # Rounding must not leave the range of an accuracy.
    return min(1.0, float(weights @ accuracies))


def effective_images(curve: Sequence[tuple[float, float]], epsilon: float, images: int) -> int:
    """Return of how many images a share would be as uncertain as the expected accuracy.

    An image that is fooled within an epsilon counts as fooled within the larger ones. It therefore
    contributes the part of [0, ``epsilon``] that it survives, which varies less from image to image
    than right or wrong does.

    Args:
        curve: as for :func:`expected_accuracy`; it reaches the target.
        epsilon: the target.
        images: how many were measured.
    """
    weights, accuracies = _weighted(curve, epsilon)
    mean, survived = float(weights @ accuracies), np.cumsum(weights)
    fooled_next = accuracies - np.append(accuracies[1:], 0.0)
    variance = float(survived**2 @ fooled_next) - mean**2
    if variance <= _ROUNDING:
        return images
    return max(images, round(images * mean * (1 - mean) / variance))


def _weighted(
    curve: Sequence[tuple[float, float]], epsilon: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weight of each accuracy in the mean over [0, ``epsilon``], and the accuracies."""
    epsilons, accuracies = (np.array(values) for values in zip(*curve, strict=True))
    if epsilon == 0:
        return np.ones(1), accuracies[:1]
    inside = np.append(epsilons[epsilons < epsilon], epsilon)
    widths = np.diff(inside) / epsilon
    weights = (np.append(widths, 0.0) + np.append(0.0, widths)) / 2
    return weights, np.interp(inside, epsilons, accuracies)
