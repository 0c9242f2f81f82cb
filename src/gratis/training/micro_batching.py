"""Micro-batching after out of memory: batches go through the model in smaller ones from then on.

A step that runs out of memory is repeated in twice as many micro-batches, and so are all later
steps. Their gradients add up to one update. Each change is an event in the log and in the
checkpoint, which a resumed run reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AliasChoices, Field
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gratis.errors import GratisError
from gratis.ranks import world_size


@dataclass(frozen=True)
class MicroBatching:
    """The event, at ``step``, that batches are cut into so many micro-batches from now on."""

    step: int
    epoch: float
    passes: float
    # Checkpoints have had another name for it.
    micro_batches: Annotated[
        int, Field(ge=1, validation_alias=AliasChoices("micro_batches", "parts"))
    ]
    kind: Literal["memory"] = "memory"


def micro_batches_after(events: Sequence[object]) -> int:
    """Return into how many micro-batches a batch is cut after these events."""
    return max((e.micro_batches for e in events if isinstance(e, MicroBatching)), default=1)


def smallest_micro_batch(module: nn.Module) -> int:
    """Return the least number of images in a micro-batch: batch norm in training mode needs two."""
    return 2 if any(isinstance(layer, _BatchNorm) for layer in module.modules()) else 1


def refuse_if_several() -> None:
    """Refuse to split batches where several ranks train, which wait for each other."""
    if world_size() > 1:
        raise GratisError("a device ran out of memory; lower train.batch_size, or use more devices")


def more_micro_batches(micro_batches: int, most: int) -> int:
    """Return twice as many micro-batches, at most ``most``."""
    if micro_batches >= most:
        raise GratisError(
            f"the device runs out of memory even with the batch in {micro_batches} micro-batches; "
            "make the model or model.input_size smaller"
        )
    return min(2 * micro_batches, most)
