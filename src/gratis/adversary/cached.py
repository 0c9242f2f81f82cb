"""Free adversarial training with a cached delta for every training image: the paper's future work.

Free training lets delta grow over the replays of a batch, then applies it to other images. Here
each image continues from its own delta of the epoch before, so that one replay can be enough.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from gratis import ranks
from gratis.adversary.base import Adversary, Model, NormSettings
from gratis.adversary.perturbed_input import PerturbedInput, like_images
from gratis.attacks import Norm
from gratis.augmentation import inverse, warp
from gratis.data import Batch
from gratis.errors import GratisError
from gratis.schedule import Constant, Scheduled, ScheduleLike, within
from gratis.settings import validate

# The cache's integers are in [-_LEVELS, _LEVELS].
_LEVELS = 127


class CachedSettings(NormSettings):
    """Cached free training; every number may be a schedule.

    Attributes:
        replays: how often each batch is trained on; rounded when a batch is drawn.
        epsilon: the norm of delta, in [0, 1] units of pixel value. In a recipe, the default is
            ``evaluate.epsilon``, or ``evaluate.epsilon_l2`` in L2.
        step_size: the norm of a step of delta, in the same units. Default: epsilon.
    """

    replays: Annotated[Scheduled, within(1)] = Constant(value=1)
    epsilon: Annotated[Scheduled, within(0)] = Constant(value=8 / 255)
    step_size: Annotated[Scheduled, within(0)] | None = None

    def kept_bytes(self, images: int, views: int, size: int) -> int:
        """Return the size of the cache, in bytes."""
        return images * views * 3 * size**2 * self.dtype.itemsize

    @property
    def dtype(self) -> torch.dtype:
        """The type of the cache's values."""
        # A value of an L2 delta is a small part of epsilon, less than a level of 8 bits.
        return torch.float16 if self.norm == "l2" else torch.int8

    def build(self, seed: int) -> "CachedFreeAT":
        """Return the adversary; it draws no random numbers, so ``seed`` has no effect."""
        return CachedFreeAT(**dict(self))


class CachedFreeAT(Adversary):
    """Keeps one delta per (view, training image) across epochs, in the image's own frame.

    A delta is warped by the affine map that made the view before it is used, and back before it is
    stored. Pixels of the image that the view did not show keep their delta.

    The cache has one byte per view, image, channel and pixel, on the batches' device: 1.2 GB per
    view for 100,000 images of 64 pixels; in L2 twice that. It is part of every checkpoint.
    """

    row_dims: ClassVar[Mapping[str, int]] = {"delta": 1}

    def __init__(
        self,
        *,
        replays: ScheduleLike = 1,
        epsilon: ScheduleLike = 8 / 255,
        step_size: ScheduleLike | None = None,
        norm: Norm = "linf",
    ) -> None:
        """Take the fields of :class:`CachedSettings`.

        The cache is allocated as zeros for the first batch.

        Raises:
            GratisError: a value is out of range.
        """
        given = {"replays": replays, "epsilon": epsilon, "step_size": step_size, "norm": norm}
        self.settings = validate(CachedSettings, given, "CachedFreeAT")
        # The value of 1 in the cache. If epsilon is always 0, so are all values, in any unit.
        self._unit = max(self.settings.epsilon.bounds()) / _LEVELS or 1.0
        self._dtype = self.settings.dtype
        if norm == "l2":
            self._unit = 1.0
        self._cache: Tensor | None = None  # (views, images of the split, 3, height, width)
        self._delta: Tensor | None = None  # of the current views, before rounding
        self._perturbed: PerturbedInput | None = None  # of the current replay
        self._batch: Batch | None = None
        # The batch's number: after a resume between two replays the same batch comes again, and
        # delta must not be reset.
        self._number: int | None = None

    def replays(self, t: float) -> int:
        """Return m(t), rounded, at least 1."""
        return max(1, round(self.settings.replays(t)))

    def perturb(self, model: Model, batch: Batch, t: float, micro_batches: int = 1) -> Tensor:
        """Return the views with their images' deltas added.

        Raises:
            GratisError: the batch has no indices, or the cache belongs to other data.
        """
        if self._delta is None or batch is not self._batch:
            self._delta = self._initial_delta(batch)
        self._perturbed = PerturbedInput(
            batch.views, self._delta, self.settings.ball, self.settings.epsilon(t)
        )
        return self._perturbed.images

    @torch.no_grad()
    def update_delta(self, batch: Batch, t: float) -> None:
        """Move delta as free training does, and store it in the cache.

        Raises:
            GratisError: no backward pass has reached the images of this replay.
        """
        if self._perturbed is None:
            return
        step_size = (self.settings.step_size or self.settings.epsilon)(t)
        self._delta = self._perturbed.stepped_delta(step_size, self.settings.epsilon(t))
        self._perturbed = None
        # At every replay, because this one may be the last of the batch.
        self._store(batch, self._delta)

    def describe(self, t: float) -> dict[str, float]:
        """Return epsilon and replays at ``t``."""
        return {"epsilon": self.settings.epsilon(t), "replays": self.replays(t)}

    def state_dict(self) -> dict[str, Tensor]:
        """Return the cache, and the delta and number of the current batch."""
        state = {}
        if self._cache is not None:
            state["cache"] = self._cache
        if self._cache is not None and self._delta is not None and self._number is not None:
            delta = self._delta.unflatten(0, (len(self._cache), -1))
            state |= {"delta": delta, "batch": torch.tensor(self._number, device="cpu")}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue with a saved cache.

        Raises:
            ValueError: a tensor has the wrong type or shape.
        """
        cache, delta = state.get("cache"), state.get("delta")
        if cache is not None and (cache.dtype != self._dtype or cache.dim() != 5):
            raise ValueError(f"cache has type {cache.dtype} and shape {tuple(cache.shape)}")
        if delta is not None and delta.dim() != 5:
            raise ValueError(f"delta has shape {tuple(delta.shape)}")
        self._cache = cache
        self._delta = None if delta is None else like_images(delta).flatten(0, 1)
        self._number = int(state["batch"]) if "batch" in state else None
        self._batch = self._perturbed = None

    def _initial_delta(self, batch: Batch) -> Tensor:
        """Return the delta of a new batch: from the cache, or as saved between two replays."""
        if batch.split_size is None:
            raise GratisError(
                "CachedFreeAT keeps a delta for every training image; give the batch the indices "
                "of its images and the split_size"
            )
        shape = batch.views.shape[1:]
        if self._cache is None:
            self._cache = batch.views.new_zeros(
                batch.view_count, batch.split_size, *shape, dtype=self._dtype
            )
        _check_shape("the cache", self._cache, (batch.view_count, batch.split_size, *shape))
        resumed = self._number is not None and self._number == batch.number
        self._batch, self._number = batch, batch.number
        if not resumed or self._delta is None:
            return self._load(batch)
        _check_shape("delta", self._delta, (*batch.views.shape,))
        return self._delta

    def _load(self, batch: Batch) -> Tensor:
        """Return the cached deltas of the batch, warped like its views, in their memory format."""
        rows = self._rows(batch)
        if batch.affines is not None:
            rows, _ = warp(rows, batch.affines)
        return torch.empty_like(batch.views).copy_(rows).mul_(self._unit)

    def _store(self, batch: Batch, delta: Tensor) -> None:
        """Write the deltas of the views into the cache, warped back to the images."""
        assert self._cache is not None
        rows = delta / self._unit
        if self._dtype == torch.int8:
            rows = rows.round_().clamp_(-_LEVELS, _LEVELS)
        rows = rows.to(self._dtype)
        if batch.affines is not None:
            back, seen = warp(rows, inverse(batch.affines))
            # Warping leaves 0 where a view does not show the image; there the old values stay.
            # torch.where takes ten times as long.
            rows = self._rows(batch).mul_((~seen).to(self._dtype)).add_(back)
        # Every rank has the whole cache, because it gets other images in each batch.
        own = rows.unflatten(0, (batch.view_count, -1))
        self._cache[:, ranks.gather(batch.indices)] = ranks.gather(own, 1)

    def _rows(self, batch: Batch) -> Tensor:
        """Return a copy of the cache for the images of a batch, int8 (v*n, 3, height, width)."""
        assert self._cache is not None
        return self._cache.index_select(1, batch.indices).flatten(0, 1)


def _check_shape(name: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != expected:
        raise GratisError(
            f"{name} has shape {tuple(tensor.shape)}, but this batch needs {expected}; use one "
            "CachedFreeAT for one training set with images and views of one shape"
        )
