"""The processes that train one run together, each with a part of every batch: its ranks.

Without :func:`joined` this process is the only rank, and every function here is then the identity:
a process group of the caller's own is none of ours. Where ranks exchange something, every one of
them must call the function.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, distributed

Value = TypeVar("Value")

_joined = False


@contextmanager
def joined(join: bool = True) -> Iterator[None]:
    """Be one of the ranks of torch's default process group while the block runs.

    With ``join=False`` be the only rank, for what each computes for itself.
    """
    global _joined
    before, _joined = _joined, join
    try:
        yield
    finally:
        _joined = before


def world_size() -> int:
    """Return the number of ranks."""
    return distributed.get_world_size() if _joined else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if _joined else 0


def is_first() -> bool:
    """Return whether this is rank 0, which alone writes files and messages."""
    return rank() == 0


def rows(largest: int, n: int) -> slice:
    """Return which of the ``n`` rows of a batch are this rank's.

    ``largest`` are the rows of the largest batch. The bounds come from it, so that the same row of
    two batches is the same rank's.
    """
    start, end = (k * largest // world_size() for k in (rank(), rank() + 1))
    return slice(min(start, n), min(end, n))


def gather(tensor: Tensor, dim: int = 0) -> Tensor:
    """Return the tensors of all ranks, concatenated along ``dim``; they may differ in size there.

    Gradients do not pass.
    """
    if world_size() == 1:
        return tensor
    moved = tensor.detach().movedim(dim, 0).contiguous()
    sizes = torch.zeros(world_size(), dtype=torch.int64, device=tensor.device)
    sizes[rank()] = len(moved)
    lengths = sum_over_ranks(sizes).tolist()
    padded = moved.new_zeros(max(lengths), *moved.shape[1:])
    padded[: len(moved)] = moved
    found = [torch.empty_like(padded) for _ in lengths]
    distributed.all_gather(found, padded)
    kept = [each[:length] for each, length in zip(found, lengths, strict=True)]
    return torch.cat(kept).movedim(0, dim)


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of the tensors of all ranks. Gradients do not pass."""
    if world_size() == 1:
        return tensor
    total = tensor.detach().clone()
    distributed.all_reduce(total)
    return total


def any_rank(flag: bool) -> bool:
    """Return whether the flag is true on any rank."""
    if world_size() == 1:
        return flag
    flags = torch.tensor(int(flag), device=_device())
    distributed.all_reduce(flags, op=distributed.ReduceOp.MAX)
    return bool(flags)


def of_first(value: Value) -> Value:
    """Return the value of rank 0, which can be pickled."""
    if world_size() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0, device=_device())
    return values[0]


def gather_values(value: Value) -> list[Value]:
    """Return the values of all ranks, in their order, which can be pickled."""
    if world_size() == 1:
        return [value]
    values = [value] * world_size()
    distributed.all_gather_object(values, value)
    return values


def wait_for_all() -> None:
    """Return once every rank has called this."""
    if world_size() > 1:
        distributed.barrier()


def _device() -> torch.device:
    """Return where the backend exchanges tensors."""
    if distributed.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
