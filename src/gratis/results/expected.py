"""The mean accuracy over all epsilons up to the target."""

from collections.abc import Sequence

import numpy as np

# An epsilon that was written with six digits is still the target.
_ROUNDING = 1e-5


def expected_accuracy(curve: Sequence[tuple[float, float]], epsilon: float) -> float | None:
    """Return the mean accuracy over epsilons that are uniform in [0, ``epsilon``].

    The accuracy between two measured epsilons is interpolated linearly. One number thus covers
    natural images, weak and strong attacks (Epsilon-Scheduling, arXiv 2509.23325).

    Args:
        curve: pairs of epsilon and accuracy, by rising epsilon from 0.
        epsilon: the target, in the units of the curve.

    Returns:
        The mean in [0, 1]; ``None`` if the curve ends before the target.
    """
    if not curve or curve[-1][0] < epsilon * (1 - _ROUNDING):
        return None
    epsilons, accuracies = (np.array(values) for values in zip(*curve, strict=True))
    if epsilon == 0:
        return float(accuracies[0])
    inside = np.append(epsilons[epsilons < epsilon], epsilon)
    area = np.trapezoid(np.interp(inside, epsilons, accuracies), inside)
    # Rounding must not leave the range of an accuracy.
    return min(1.0, float(area) / epsilon)
