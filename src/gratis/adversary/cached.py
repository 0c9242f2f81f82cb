"""Free adversarial training whose delta is remembered for every training image.

It is the paper's future work. Free training lets delta grow over the replays of a batch, and then
hands it to other images. Here each image goes on from its own delta of the epoch before, so that
one replay of a batch may do.
"""

from typing import Annotated

import torch
from torch import Tensor

from gratis.adversary.contract import Adversary, AdversarySettings, Model
from gratis.adversary.leaf import Leaf
from gratis.data import Batch
from gratis.errors import GratisError
from gratis.perturb import inverse, warp
from gratis.schedule import Constant, Schedule, Scheduled, within

# The cache's largest number; minus that is its smallest.
_LEVELS = 127


class CachedSettings(AdversarySettings):
    """Cached training; every number may be a schedule.

    ``replays`` is how often a batch is trained on, rounded when it is drawn. ``epsilon`` and
    ``step_size`` are in [0, 1] units; without a ``step_size`` the step is epsilon.
    """

    replays: Annotated[Scheduled, within(1)] = Constant(value=1)
    epsilon: Annotated[Scheduled, within(0, 1)] = Constant(value=8 / 255)
    step_size: Annotated[Scheduled, within(0, 1)] | None = None

    def build(self, seed: int) -> "Cached":
        """Return the adversary; it draws nothing, and ``seed`` changes nothing."""
        return Cached(self)


class Cached(Adversary):
    """Carries one delta per (view, training image) from epoch to epoch, in the image's own frame.

    A delta is warped by the map that made the view before it is used, and back before it is
    stored; pixels of the image that the view did not show keep theirs, and what it showed beyond
    the image's edge is not remembered.

    The cache has one byte per view, image, channel and pixel, on the batches' device: 1.2 GB per
    view for 100,000 images of 64 pixels. It is part of every checkpoint.
    """

    def __init__(self, settings: CachedSettings) -> None:
        """Start with no cache; it is allocated as zeros for the first batch."""
        self.settings = settings
        self._step_size: Schedule = settings.step_size or settings.epsilon
        # One step of the cache's numbers; where epsilon is always 0, so are they, in any unit.
        self._unit = max(settings.epsilon.corners()) / _LEVELS or 1.0
        self._cache: Tensor | None = None  # int8 (views, images of the split, 3, height, width)
        self._delta: Tensor | None = None  # of the views under way, unrounded
        self._leaf: Leaf | None = None  # of the replay under way
        self._batch: Batch | None = None
        self._number: int | None = None  # of the batch, which a resumed run draws again

    def replays(self, t: float) -> int:
        """Return m(t), rounded, at least 1."""
        return max(1, round(self.settings.replays(t)))

    def perturb(self, model: Model, batch: Batch, t: float) -> Tensor:
        """Return the views with their images' deltas added.

        Raises:
            GratisError: the batch does not say which images of how many it holds, or the cache
                belongs to others.
        """
        if self._delta is None or batch is not self._batch:
            self._delta = self._draw(batch)
        self._leaf = Leaf(batch.views, self._delta, self.settings.epsilon(t))
        return self._leaf.images

    @torch.no_grad()
    def observe(self, batch: Batch, t: float) -> None:
        """Move delta as free training does, and remember it: this replay may be the last."""
        if self._leaf is None:
            return
        moved = self._leaf.moved(self._step_size(t), self.settings.epsilon(t))
        if moved is None:
            return
        self._delta, self._leaf = moved, None
        self._remember(batch, moved)

    def describe(self, t: float) -> dict[str, float]:
        """Return epsilon and replays at ``t``."""
        return {"epsilon": self.settings.epsilon(t), "replays": self.replays(t)}

    def state_dict(self) -> dict[str, Tensor]:
        """Return the cache, and delta and number of the batch that may not be done with."""
        state = {}
        if self._cache is not None:
            state["cache"] = self._cache
        if self._delta is not None and self._number is not None:
            state |= {"delta": self._delta, "batch": torch.tensor(self._number)}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on with a saved cache.

        Raises:
            ValueError: it is no such state.
        """
        cache, delta = state.get("cache"), state.get("delta")
        if cache is not None and (cache.dtype != torch.int8 or cache.dim() != 5):
            raise ValueError(f"a cache of {cache.dtype} and shape {tuple(cache.shape)}")
        if delta is not None and delta.dim() != 4:
            raise ValueError(f"a delta of shape {tuple(delta.shape)}")
        self._cache, self._delta = cache, delta
        self._number = int(state["batch"]) if "batch" in state else None
        self._batch = self._leaf = None

    def _draw(self, batch: Batch) -> Tensor:
        """Return a batch's delta: as it was saved between two replays, or from the cache."""
        if batch.split_size is None:
            raise GratisError(
                "cached remembers a delta for every training image: give Batch.of the indices of "
                "its images and the split_size that they count in"
            )
        one = batch.views.shape[1:]
        if self._cache is None:
            self._cache = batch.views.new_zeros(
                batch.view_count, batch.split_size, *one, dtype=torch.int8
            )
        _refuse_other("the cache", self._cache, (batch.view_count, batch.split_size, *one))
        known = self._number is not None and self._number == batch.number
        self._batch, self._number = batch, batch.number
        if not known or self._delta is None:
            return self._recall(batch)
        _refuse_other("delta", self._delta, (*batch.views.shape,))
        return self._delta

    def _recall(self, batch: Batch) -> Tensor:
        """Return the deltas of a batch's images, seen as its views are, in memory as they are."""
        rows = self._rows(batch)
        if batch.maps is not None:
            rows, _ = warp(rows, batch.maps)
        return torch.empty_like(batch.views).copy_(rows).mul_(self._unit)

    def _remember(self, batch: Batch, delta: Tensor) -> None:
        """Write the deltas of a batch's views into the cache."""
        assert self._cache is not None
        rows = (delta / self._unit).round_().clamp_(-_LEVELS, _LEVELS).to(torch.int8)
        if batch.maps is not None:
            back, seen = warp(rows, inverse(batch.maps))
            # What was warped is zero where it was not seen; torch.where takes ten times as long.
            rows = self._rows(batch).mul_((~seen).to(torch.int8)).add_(back)
        self._cache[:, batch.indices] = rows.unflatten(0, (batch.view_count, -1))

    def _rows(self, batch: Batch) -> Tensor:
        """Return what is remembered of a batch's images, int8 (v*n, 3, height, width)."""
        assert self._cache is not None
        return self._cache.index_select(1, batch.indices).flatten(0, 1)


def _refuse_other(name: str, found: Tensor, wanted: tuple[int, ...]) -> None:
    if tuple(found.shape) != wanted:
        raise GratisError(
            f"{name} is {tuple(found.shape)}, where this batch needs {wanted}; it belongs to "
            "another run"
        )
