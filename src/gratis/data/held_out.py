"""The training images that are held out for model selection."""

import numpy as np
import torch
from numpy.typing import NDArray

from gratis.data.dataset import Split
from gratis.seeds import generator

Indices = NDArray[np.int64]


def hold_out(split: Split, per_class: int = 5, seed: int = 0) -> tuple[Indices, Indices]:
    """Return the sorted indices of ``split`` to train on, and those held out for model selection.

    ``per_class`` images of each class are held out, or half of them if a class has fewer than twice
    as many. ``seed`` is not the seed of a run: every run holds out the same images.
    """
    if per_class < 0:
        raise ValueError(f"cannot hold out {per_class} images per class")
    held_out = [
        _drawn(np.flatnonzero(split.labels == label), per_class, (seed, "hold out", int(label)))
        for label in np.unique(split.labels)
    ]
    chosen = np.zeros(len(split), dtype=np.bool_)
    chosen[np.concatenate([np.empty(0, dtype=np.int64), *held_out])] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _drawn(members: Indices, count: int, key: tuple[int, str, int]) -> Indices:
    order = torch.randperm(len(members), generator=generator("cpu", *key), device="cpu").numpy()
    drawn: Indices = members[order[: min(count, len(members) // 2)]]
    return drawn
