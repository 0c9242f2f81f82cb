"""Dropout whose masks do not depend on how many ranks train."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Masked(NamedTuple):
    """The rows of a larger batch to which masks are applied.

    Attributes:
        total: the rows of that batch.
        own: from its rows to those of this rank.
    """

    total: int
    own: Callable[[Tensor], Tensor]


_masked: Masked | None = None


@contextmanager
def dropout_of(masked: Masked | None) -> Iterator[None]:
    """Draw masks for a larger batch while the block runs; ``None`` for just the rows given."""
    global _masked
    _masked = masked
    try:
        yield
    finally:
        _masked = None


def dropout(rows: Tensor, rate: float, training: bool) -> Tensor:
    """Return ``torch.nn.functional.dropout`` of rows (v*n, ...), with the masks of one process."""
    if _masked is None or not training:
        return functional.dropout(rows, rate, training)
    shape = (_masked.total, *rows.shape[1:])
    mask = functional.dropout(torch.ones(shape, dtype=rows.dtype, device=rows.device), rate)
    return rows * _masked.own(mask)
