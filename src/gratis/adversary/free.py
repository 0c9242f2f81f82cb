"""Free adversarial training (Shafahi et al. 2019), with the paper's schedules and averages.

One backward pass gives the gradient of the weights and that of the input: the perturbation costs
nothing but the replays of a batch that let it grow.
"""

from typing import Annotated

import torch
from torch import Tensor

from gratis.adversary.contract import Adversary, AdversarySettings, Model
from gratis.adversary.leaf import Leaf
from gratis.data import Batch
from gratis.errors import GratisError
from gratis.schedule import Constant, Schedule, Scheduled, within
from gratis.seeds import generator


class FreeSettings(AdversarySettings):
    """Free training; every number may be a schedule.

    ``replays`` is the paper's m, rounded when a batch is drawn. ``epsilon`` and ``step_size`` are
    in [0, 1] units; without a ``step_size`` the step is epsilon. ``gamma`` is the probability
    that a replay uses delta. ``delta_momentum`` is the weight of the old delta in its moving
    average; 0 is Shafahi's rule. ``reset`` starts delta at zero for each batch, so that the
    second replay is FGSM on the images of the first.
    """

    replays: Annotated[Scheduled, within(1)] = Constant(value=4)
    epsilon: Annotated[Scheduled, within(0, 1)] = Constant(value=8 / 255)
    step_size: Annotated[Scheduled, within(0, 1)] | None = None
    gamma: Annotated[Scheduled, within(0, 1)] = Constant(value=1)
    delta_momentum: Annotated[Scheduled, within(0, 1)] = Constant(value=0)
    reset: bool = False

    def build(self, seed: int) -> "Free":
        """Return the adversary."""
        return Free(self, seed)


class Free(Adversary):
    """Carries one delta per (view, image of a batch) from replay to replay and batch to batch."""

    def __init__(self, settings: FreeSettings, seed: int) -> None:
        """Start with no delta; it is allocated as zeros for the first batch."""
        self.settings = settings
        self._step_size: Schedule = settings.step_size or settings.epsilon
        self._gamma_generator = generator("cpu", seed, "gamma")
        self._delta: Tensor | None = None  # (views, largest batch, 3, height, width)
        self._leaf: Leaf | None = None  # of the replay under way, where it uses delta
        self._batch: Batch | None = None
        self._number: int | None = None  # of the batch, which a resumed run draws again

    def replays(self, t: float) -> int:
        """Return m(t), rounded, at least 1."""
        return max(1, round(self.settings.replays(t)))

    def perturb(self, model: Model, batch: Batch, t: float) -> Tensor:
        """Return the views with delta added, or as they are when gamma's draw says so."""
        if batch is not self._batch:
            self._draw(batch)
        self._leaf = None
        # Drawn at every replay, so that the sequence does not depend on the schedule's values.
        draw = float(torch.rand((), generator=self._gamma_generator))
        if draw >= self.settings.gamma(t):
            return batch.views
        self._leaf = Leaf(batch.views, self._rows(batch), self.settings.epsilon(t))
        return self._leaf.images

    @torch.no_grad()
    def observe(self, batch: Batch, t: float) -> None:
        """Move delta along the sign of the images' gradient: paper, section on free training.

        d = clip(delta + step_size * sign(grad), -epsilon, epsilon), then
        delta <- delta_momentum * delta + (1 - delta_momentum) * d.
        """
        if self._leaf is None:
            return
        moved = self._leaf.moved(self._step_size(t), self.settings.epsilon(t))
        if moved is None:
            return
        momentum = self.settings.delta_momentum(t)
        if momentum:
            moved = torch.lerp(moved, self._leaf.delta, momentum)
        rows = self._rows(batch)
        rows.copy_(moved.view_as(rows))
        self._leaf = None

    def describe(self, t: float) -> dict[str, float]:
        """Return epsilon, replays and gamma at ``t``."""
        s = self.settings
        return {"epsilon": s.epsilon(t), "replays": self.replays(t), "gamma": s.gamma(t)}

    def state_dict(self) -> dict[str, Tensor]:
        """Return delta, the number of its batch, and the state of gamma's generator."""
        state = {"gamma_generator": self._gamma_generator.get_state()}
        if self._delta is not None:
            state["delta"] = self._delta
        if self._number is not None:
            state["batch"] = torch.tensor(self._number)
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on with a saved delta.

        Raises:
            ValueError: it is no such state.
        """
        drawn = state["gamma_generator"]
        if drawn.shape != self._gamma_generator.get_state().shape:
            raise ValueError(f"a generator's state of shape {tuple(drawn.shape)}")
        if "delta" in state and state["delta"].dim() != 5:
            raise ValueError(f"a delta of shape {tuple(state['delta'].shape)}")
        self._gamma_generator.set_state(drawn)
        self._delta = _like_images(state["delta"]) if "delta" in state else None
        self._number = int(state["batch"]) if "batch" in state else None
        self._batch = None

    def _draw(self, batch: Batch) -> None:
        """Make room for a new batch: delta grows to the largest batch seen."""
        known = self._number is not None and self._number == batch.number
        self._batch, self._number = batch, batch.number
        old, images = self._delta, len(batch.labels)
        wanted = (batch.view_count, *batch.views.shape[1:])
        if old is not None and (old.shape[0], *old.shape[2:]) != wanted:
            raise GratisError(
                f"delta is {tuple(old.shape)}, which does not fit {batch.view_count} views of "
                f"{tuple(batch.views.shape[1:])}; it belongs to another run"
            )
        if old is None or old.shape[1] < images or (self.settings.reset and not known):
            self._delta = _like_images(
                batch.views.new_zeros(batch.view_count, images, *batch.views.shape[1:])
            )
            if old is not None and not self.settings.reset:
                self._delta[:, : old.shape[1]] = old

    def _rows(self, batch: Batch) -> Tensor:
        """Return the delta of this batch's images, (views, n, 3, height, width)."""
        assert self._delta is not None
        return self._delta[:, : len(batch.labels)]


def _like_images(delta: Tensor) -> Tensor:
    """Return delta (views, n, 3, height, width) with the channels last in memory, as images are."""
    return delta.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
