"""Memory that does not do for a batch: from then on batches go through the model in parts.

The rule: a step that runs out of memory is made again in twice as many parts, whose gradients are
added up, and so are all steps after it. Each time is a event with its pass number, which a
resumed run reads back from its checkpoint.
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
    """The event, taken at ``step``, to send batches through the model in ``parts``."""

    step: int
    epoch: float
    passes: float
    parts: Annotated[int, Field(ge=1)]
    kind: Literal["memory"] = "memory"


def parts_after(events: Sequence[object]) -> int:
    """Return in how many parts batches go through the model after these events."""
    return max((d.parts for d in events if isinstance(d, MicroBatching)), default=1)


def fewest_images(module: nn.Module) -> int:
    """Return of how many images a part must be at least: batch norm in training needs two."""
    return 2 if any(isinstance(part, _BatchNorm) for part in module.modules()) else 1


def more_parts(parts: int, most: int) -> int:
    """Return twice as many parts, and at most ``most``.

    Raises:
        GratisError: there are as many already.
    """
    if parts >= most:
        raise GratisError(
            f"the device's memory is too small for a step, even with the batch in {parts} parts; "
            "make the model or model.input_size smaller"
        )
    return min(2 * parts, most)
