"""The position of a run: how far it has come, as a checkpoint stores it."""

import json
import logging
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Annotated, TypeAlias

import torch
from pydantic import Field, TypeAdapter

from gratis import ranks
from gratis.settings import brief
from gratis.training.divergence import Rollback
from gratis.training.micro_batching import MicroBatching
from gratis.training.time_budget import NewPlan

logger = logging.getLogger(__name__)

Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Event: TypeAlias = Rollback | NewPlan | MicroBatching


@dataclass
class Position:
    """How far a run has come.

    Attributes:
        passes: passes done.
        batches: batches whose replays are all done.
        replay: replays done of the next batch.
        replays: replays of the next batch.
        steps: steps done; a step is one replay.
        images: the number of training images.
        seconds: the time spent on steps.
        saving: the time spent on saving the checkpoints before this one, in seconds.
        elapsed: the wall time of all processes that trained this run, in seconds.
        threads: the CPU threads of the process that saved this; 0 if unknown.
        ranks: the processes that trained together.
        metrics_bytes: the length of ``metrics.jsonl`` at this position.
        finished: whether the planned passes are done.
        first_loss: the loss of the first step, before any update.
        events: rollbacks, micro-batching and new plans so far, which the rest depends on.
    """

    passes: Amount = 0.0
    batches: Count = 0
    replay: Count = 0
    replays: Count = 0
    steps: Count = 0
    images: Count = 0
    seconds: Amount = 0.0
    saving: Amount = 0.0
    elapsed: Amount = 0.0
    threads: Count = 0
    ranks: Count = 1
    metrics_bytes: Count = 0
    finished: bool = False
    first_loss: float | None = None
    events: list[Event] = field(default_factory=list)


_POSITION = TypeAdapter(Position)


def to_json(position: Position) -> str:
    """Return a position as JSON."""
    return json.dumps(asdict(position))


def from_json(text: str) -> Position:
    """Return the position that :func:`to_json` wrote.

    Raises:
        ValidationError: it is damaged, or has an event of another version.
    """
    return _POSITION.validate_json(text)


def unknown_event(position: str) -> str | None:
    """Return the kind of the first event that this version does not know, if there is one."""
    known = {"rollback", "budget", "memory"}
    with suppress(ValueError, AttributeError, TypeError, LookupError, RecursionError):
        for event in json.loads(position)["events"]:
            if isinstance(kind := event.get("kind"), str) and kind not in known:
                return brief(kind).strip("'")
    return None


def warn_of_rounding(position: Position) -> None:
    """Say that a run continues on another number of devices or CPU threads."""
    if position.ranks != ranks.world_size():
        logger.warning(
            f"this run was trained on {position.ranks} devices and continues on "
            f"{ranks.world_size()}: sums are added in another order, so low bits of the weights "
            "change"
        )
        return
    before, now = position.threads, torch.get_num_threads()
    if before and before != now and not torch.cuda.is_available():
        logger.warning(
            f"this run was trained on {before} threads and continues on {now}: sums are added in "
            f"another order, so low bits of the weights change; OMP_NUM_THREADS={before} avoids it"
        )
