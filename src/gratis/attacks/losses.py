"""The losses that attacks maximise: logits and labels to one number for each image."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

LossName = Literal["cross_entropy", "plain_cross_entropy", "margin"]


# The cross entropy of an image whose logits have a range from _LOW to _HIGH is that of these
# logits. Trained networks have such ranges. Larger ones are scaled down to _HIGH, smaller ones up:
# to _USUAL below _TINY.
_TINY, _LOW, _HIGH, _USUAL = 0.8, 1.0, 50.0, 10.0


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy without label smoothing, (n,), for attacks on trained models.

    Logits of an extreme range, from a temperature that a model applies, are scaled to a usual one:
    their softmax would be one-hot or uniform, and hide the gradient from an attack. The loss is
    continuous in the range.
    """
    logits = logits.float()
    factor = _scale((logits.amax(1) - logits.amin(1)).detach())
    return plain_cross_entropy(logits * factor[:, None], labels)


def plain_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy without label smoothing, (n,), of the logits as they are.

    Training attacks ascend it: the logits of a new network have a small range of their own.
    """
    # In half precision a confident softmax rounds to 1, and the gradient to zero.
    return functional.cross_entropy(logits.float(), labels, reduction="none")


def _scale(spread: Tensor) -> Tensor:
    """Return the factor for logits of each range; exactly 1 for those in between."""
    # From 0 at _TINY to 1 at _LOW, so that the loss has no jump.
    share = ((spread - _TINY) / (_LOW - _TINY)).clamp(min=0)
    low = _USUAL * (_LOW / _USUAL) ** share
    wanted = torch.where(spread < _LOW, low, spread.clamp(max=_HIGH))
    scaled = (wanted != spread) & (spread > 0) & spread.isfinite()
    # Tiny ranges would give an infinite factor.
    factor = (wanted / spread).clamp(max=torch.finfo(spread.dtype).max)
    return torch.where(scaled, factor, torch.ones_like(factor))


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the highest wrong logit less the right one, (n,): above 0 where the model is fooled.

    Its gradient does not vanish where the classifier is confident (Carlini and Wagner 2017,
    section V.A, f6 without a confidence).
    """
    logits = logits.float()
    right = logits.gather(1, labels[:, None]).squeeze(1)
    wrong = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return wrong - right


def is_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Return whether the highest logit of each image is that of its label, (n,).

    Logits that are not finite are no answer, so they are never right.
    """
    return (logits.argmax(1) == labels) & logits.isfinite().all(1)


LOSSES: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "plain_cross_entropy": plain_cross_entropy,
    "margin": margin,
}
