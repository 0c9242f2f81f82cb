"""Numerical divergence: what counts as such, and by which rule training goes on after it.

The rule: back to the last good checkpoint, and from there with half the learning rate for the rest
of training; at most three times.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

MOST_ROLLBACKS = 3
_RATE_FACTOR = 0.5
# A loss so many times that of the first steps, when the model knew nothing, has exploded. Where
# the first is below 1 the model did know something, and harder images may raise it.
_EXPLODED = 10.0


@dataclass(frozen=True)
class Rollback:
    """The event to go back, taken at ``step``, to ``to_step``; both count from the beginning.

    ``rate_factor`` is what the learning rate is multiplied with from then on.
    """

    step: int
    epoch: float
    passes: float
    to_step: int
    reason: str
    rate_factor: float
    kind: Literal["rollback"] = "rollback"


class Divergence(Exception):
    """Training cannot go on from where it is; the message says why."""


class Overfitting(Divergence):
    """The model withstands single steps only, and may have for a while."""


def refuse_exploded(means: Mapping[str, float], first_loss: float) -> None:
    """Refuse means that are not finite, or a loss far above that of the very first step.

    Raises:
        Divergence: they are.
    """
    if not all(math.isfinite(value) for value in means.values()):
        raise Divergence("the loss is no longer finite")
    loss = means.get("loss", 0.0)
    if loss > _EXPLODED * max(1.0, first_loss):
        raise Divergence(f"the loss has exploded, from {first_loss:.3g} at first to {loss:.3g}")


def rollbacks(events: Sequence[object]) -> int:
    """Return how often training went back."""
    return sum(isinstance(event, Rollback) for event in events)


def rate_factor(times: int) -> float:
    """Return what the learning rate is multiplied with after so many rollbacks."""
    return _RATE_FACTOR**times
