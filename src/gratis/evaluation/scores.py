"""Outputs that are no logits: probabilities, and scores whose gradients vanish."""

import torch
from torch import Tensor

# Rows of probabilities sum to 1 up to the rounding of half precision.
_ROUNDING = 1e-3
# Those of numbers of one sum differ less than the numbers, by this factor.
_OF_ONE_SUM = 5e-3
# What numbers differ between images, as a share of them, below which nothing can be told.
_ALIKE = 1e-5
# The share of numbers nearly at -1 and 1, from which they are those of a tanh.
_END, _SATURATED = 0.99, 0.25
# The fewest numbers, and images, that are not all in [0, 1], or of one sum, by chance.
_MANY, _IMAGES = 50, 8
# Of scores times a factor, the least share of numbers at the lower end, and at the upper end for
# each class; the largest share of those exactly there, which tells a clamp.
_LOW, _HIGH, _CLAMPED = 0.2, 0.25, 0.9
# The logarithm of a score that is nearly 1, and the share of images whose highest it is.
_CERTAIN, _SURE = 0.01, 0.25


def scores(logits: Tensor) -> tuple[str, str] | None:
    """Return what numbers (n, classes) are that no logits are, and the layer that makes them."""
    if (logits >= 0).all() and ((logits.sum(1) - 1).abs() <= _ROUNDING).all():
        return "probabilities", "softmax"
    # A class layer of zeros is usual before training: one answer says nothing of the last layer.
    if (logits - logits.mean(0)).abs().max() <= _ALIKE * logits.abs().max():
        return None
    if logits.abs().max() <= 1 and (found := _in_the_unit_range(logits)):
        return found
    return _of_one_sum(logits) or _times_a_factor(logits) or _logarithms(logits)


def _in_the_unit_range(logits: Tensor) -> tuple[str, str] | None:
    if (logits >= 0).all():
        return ("scores in [0, 1]", "sigmoid") if logits.numel() >= _MANY else None
    # Logits may be small, but do not gather at the ends.
    at_the_ends = (logits.abs() >= _END).float().mean()
    return ("scores in [-1, 1]", "tanh") if at_the_ends > _SATURATED else None


def _times_a_factor(logits: Tensor) -> tuple[str, str] | None:
    """Find a sigmoid or tanh times a factor: its numbers gather near both ends of a range."""
    low, high = logits.min(), logits.max()
    above = bool(low >= 0)
    if not above and (low + high).abs() > (1 - _END) * high.abs():
        return None
    start = torch.zeros_like(low) if above else low
    place = (logits - start) / (high - start)
    at_low, at_high = place <= 1 - _END, place >= _END
    exact = ((logits == low) | (logits == high)).sum() / (at_low | at_high).sum().clamp(min=1)
    gathered = at_low.float().mean() >= _LOW and at_high.float().mean() * logits.shape[1] >= _HIGH
    if not gathered or exact >= _CLAMPED or logits.numel() < _MANY:
        return None
    return f"scores in [{float(start):.3g}, {float(high):.3g}]", "sigmoid" if above else "tanh"


def _of_one_sum(logits: Tensor) -> tuple[str, str] | None:
    """Find a softmax times a factor, such as percentages or the negative of a softmin."""
    sums = logits.double().sum(1)
    mean = sums.mean()
    one_sign = bool((logits >= 0).all() or (logits <= 0).all())
    # Compared with how much the numbers differ between images: those of a model that answers nearly
    # the same for all have nearly one sum too.
    differ = (logits - logits.mean(0)).abs().max()
    equal = bool((sums - mean).abs().max() < _OF_ONE_SUM * differ)
    if len(logits) >= _IMAGES and one_sign and equal and mean != 0:
        return f"probabilities times {float(mean):.3g}", "softmax"
    return None


def _logarithms(logits: Tensor) -> tuple[str, str] | None:
    """Find logarithms of sigmoids: none is above 0, and many are nearly 0."""
    # Cross entropy of logarithms of probabilities is that of the logits.
    probabilities = bool((logits.logsumexp(1).abs() <= _ROUNDING).all())
    certain = (logits.amax(1) >= -_CERTAIN).float().mean() >= _SURE
    if logits.max() <= 0 and certain and not probabilities and logits.numel() >= _MANY:
        return "logarithms of scores", "log-sigmoid"
    return None
