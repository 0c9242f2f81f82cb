"""Numerical divergence: how it is detected, and how training continues.

Training goes back to the last good checkpoint and continues with half the learning rate, at most
three times.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gratis.errors import GratisError

_MOST_ROLLBACKS = 3
_RATE_FACTOR = 0.5
# The loss has exploded at 10 times the first loss. First losses below 1 count as 1, because a
# pretrained model starts low.
_EXPLODED = 10.0


@dataclass(frozen=True)
class Rollback:
    """The event, at ``step``, that training goes back to ``to_step``.

    From then on the learning rate is multiplied by ``rate_factor``.
    """

    step: int
    epoch: float
    passes: float
    to_step: int
    reason: str
    rate_factor: float
    kind: Literal["rollback"] = "rollback"


class Divergence(Exception):
    """Training diverged; the message says how."""


class CatastrophicOverfitting(Divergence):
    """Catastrophic overfitting: the model is robust to single-step attacks only."""


def refuse_divergence(means: Mapping[str, float], first_loss: float) -> None:
    """Check the means of what steps report.

    Raises:
        Divergence: they are not finite, or the loss is far above that of the first step.
    """
    if not all(math.isfinite(value) for value in means.values()):
        raise Divergence("the loss is no longer finite")
    loss = means.get("loss", 0.0)
    if loss > _EXPLODED * max(1.0, first_loss):
        raise Divergence(f"the loss has exploded, from {first_loss:.3g} at first to {loss:.3g}")


def refuse_rollback(where: str, on_divergence: str, events: Sequence[object]) -> None:
    """Check whether training may go back once more.

    ``where`` says what happened, for the message.
    """
    if on_divergence == "stop":
        raise GratisError(
            f"{where}; continue from the last checkpoint with --on-divergence rollback, or lower "
            "train.learning_rate and train into a new folder"
        )
    if rollbacks(events) == _MOST_ROLLBACKS:
        raise GratisError(
            f"{where}, {_MOST_ROLLBACKS} times after going back with half the learning rate; lower "
            "train.learning_rate and train into a new folder"
        )


def rollbacks(events: Sequence[object]) -> int:
    """Return the number of rollbacks among ``events``."""
    return sum(isinstance(event, Rollback) for event in events)


def rate_factor(rollbacks: int) -> float:
    """Return the factor on the learning rate after so many rollbacks."""
    return _RATE_FACTOR**rollbacks
