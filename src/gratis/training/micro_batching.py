"""Micro-batching after out of memory: batches go through the model in parts from then on.

A step that runs out of memory is repeated in twice as many parts, and so are all later steps.
The gradients of the parts add up to one update. Each change is an event in the log and in the
checkpoint, which a resumed run reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gratis.errors import GratisError


@dataclass(frozen=True)
class MicroBatching:
    """The event, at ``step``, that batches go through the model in ``parts`` from now on."""

    step: int
    epoch: float
    passes: float
    parts: Annotated[int, Field(ge=1)]
    kind: Literal["memory"] = "memory"


def parts_after(events: Sequence[object]) -> int:
    """Return the number of parts that batches go through the model in after these events."""
    return max((e.parts for e in events if isinstance(e, MicroBatching)), default=1)


def smallest_part(module: nn.Module) -> int:
    """Return the least number of images in a part: batch norm in training mode needs two."""
    return 2 if any(isinstance(layer, _BatchNorm) for layer in module.modules()) else 1


def more_parts(parts: int, most: int) -> int:
    """Return twice as many parts, at most ``most``.

    Raises:
        GratisError: there are ``most`` already.
    """
    if parts >= most:
        raise GratisError(
            f"the device runs out of memory even with the batch in {parts} parts; make the model "
            "or model.input_size smaller"
        )
    return min(2 * parts, most)
