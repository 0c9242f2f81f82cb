"""Free adversarial training (Shafahi et al. 2019), with the paper's schedules and moving average.

One backward pass gives both the gradient of the weights and that of the images. The perturbation
grows over the replays of a batch, so the same compute covers fewer batches.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from gratis.adversary.base import Adversary, Model, NormSettings
from gratis.adversary.perturbed_input import PerturbedInput, like_images
from gratis.attacks import Norm
from gratis.data import Batch
from gratis.errors import GratisError
from gratis.schedule import Constant, Scheduled, ScheduleLike, within
from gratis.seeds import generator
from gratis.settings import validate


class FreeSettings(NormSettings):
    """Free training; every number may be a schedule.

    Attributes:
        replays: how often each batch is trained on, the paper's m; rounded when a batch is drawn.
        epsilon: the norm of delta, in [0, 1] units of pixel value. In a recipe, the default is
            ``evaluate.epsilon``, or ``evaluate.epsilon_l2`` in L2.
        step_size: the norm of a step of delta, in the same units. Default: epsilon.
        gamma: the probability that a replay uses delta at all.
        delta_momentum: the weight of the old delta in its moving average; 0 is Shafahi's rule.
        reset_delta: start delta at zero for each batch. With two replays the second one is then
            FGSM on the same images, from the gradient of the first.
    """

    replays: Annotated[Scheduled, within(1)] = Constant(value=4)
    epsilon: Annotated[Scheduled, within(0)] = Constant(value=8 / 255)
    step_size: Annotated[Scheduled, within(0)] | None = None
    gamma: Annotated[Scheduled, within(0, 1)] = Constant(value=1)
    delta_momentum: Annotated[Scheduled, within(0, 1)] = Constant(value=0)
    reset_delta: bool = False

    def build(self, seed: int) -> "FreeAT":
        """Return the adversary."""
        return FreeAT(**dict(self), seed=seed)


class FreeAT(Adversary):
    """Keeps one delta per (view, row of a batch), which persists across replays and batches."""

    row_dims: ClassVar[Mapping[str, int]] = {"delta": 1}

    def __init__(
        self,
        *,
        replays: ScheduleLike = 4,
        epsilon: ScheduleLike = 8 / 255,
        step_size: ScheduleLike | None = None,
        gamma: ScheduleLike = 1,
        delta_momentum: ScheduleLike = 0,
        reset_delta: bool = False,
        norm: Norm = "linf",
        seed: int = 0,
    ) -> None:
        """Take the fields of :class:`FreeSettings`, and the seed of gamma's draws.

        Delta is allocated as zeros for the first batch.

        Raises:
            GratisError: a value is out of range.
        """
        given = {
            "replays": replays,
            "epsilon": epsilon,
            "step_size": step_size,
            "gamma": gamma,
            "delta_momentum": delta_momentum,
            "reset_delta": reset_delta,
            "norm": norm,
        }
        self.settings = validate(FreeSettings, given, "FreeAT")
        self._gamma_generator = generator("cpu", seed, "gamma")
        self._delta: Tensor | None = None  # (views, largest batch, 3, height, width)
        self._perturbed: PerturbedInput | None = None  # of this replay, where it uses delta
        self._batch: Batch | None = None
        # The batch's number: after a resume between two replays the same batch comes again, and
        # delta must not be reset.
        self._number: int | None = None

    def replays(self, t: float) -> int:
        """Return m(t), rounded, at least 1."""
        return max(1, round(self.settings.replays(t)))

    def perturb(self, model: Model, batch: Batch, t: float, micro_batches: int = 1) -> Tensor:
        """Return the views with delta added, or unperturbed where gamma's draw says so."""
        if batch is not self._batch:
            self._start_batch(batch)
        self._perturbed = None
        # Drawn at every replay, so that the sequence does not depend on the schedule's values.
        draw = float(torch.rand((), generator=self._gamma_generator, device="cpu"))
        if draw >= self.settings.gamma(t):
            return batch.views
        self._perturbed = PerturbedInput(
            batch.views, self._rows(batch), self.settings.ball, self.settings.epsilon(t)
        )
        return self._perturbed.images

    @torch.no_grad()
    def update_delta(self, batch: Batch, t: float) -> None:
        """Move delta along the images' gradient.

        With d = clip(delta + step_size * sign(grad), -epsilon, epsilon), the new delta is
        delta_momentum * delta + (1 - delta_momentum) * d (Shafahi et al. 2019, algorithm 1; the
        moving average is the paper's). In L2, d follows the gradient of each view, scaled to
        length step_size, and is projected to length epsilon.

        Raises:
            GratisError: no backward pass has reached the images of this replay.
        """
        if self._perturbed is None:
            return
        step_size = (self.settings.step_size or self.settings.epsilon)(t)
        moved = self._perturbed.stepped_delta(step_size, self.settings.epsilon(t))
        momentum = self.settings.delta_momentum(t)
        if momentum:
            moved = torch.lerp(moved, self._perturbed.delta, momentum)
        rows = self._rows(batch)
        rows.copy_(moved.view_as(rows))
        self._perturbed = None

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
            state["batch"] = torch.tensor(self._number, device="cpu")
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue with a saved delta.

        Raises:
            ValueError: a tensor has the wrong shape.
        """
        drawn = state["gamma_generator"]
        if drawn.shape != self._gamma_generator.get_state().shape:
            raise ValueError(f"gamma_generator has shape {tuple(drawn.shape)}")
        if "delta" in state and state["delta"].dim() != 5:
            raise ValueError(f"delta has shape {tuple(state['delta'].shape)}")
        self._gamma_generator.set_state(drawn)
        self._delta = like_images(state["delta"]) if "delta" in state else None
        self._number = int(state["batch"]) if "batch" in state else None
        self._batch = None

    def _start_batch(self, batch: Batch) -> None:
        """Start a new batch: allocate delta for the largest batch so far, or reset it."""
        resumed = self._number is not None and self._number == batch.number
        self._batch, self._number = batch, batch.number
        old, images = self._delta, len(batch.labels)
        expected = (batch.view_count, *batch.views.shape[1:])
        if old is not None and (old.shape[0], *old.shape[2:]) != expected:
            raise GratisError(
                f"delta has shape {tuple(old.shape)}, but this batch has {batch.view_count} views "
                f"of shape {tuple(batch.views.shape[1:])}; use one FreeAT for images and views "
                "of one shape"
            )
        if old is None or old.shape[1] < images or (self.settings.reset_delta and not resumed):
            self._delta = like_images(
                batch.views.new_zeros(batch.view_count, images, *batch.views.shape[1:])
            )
            if old is not None and not self.settings.reset_delta:
                self._delta[:, : old.shape[1]] = old

    def _rows(self, batch: Batch) -> Tensor:
        """Return the delta of this batch's images, (views, n, 3, height, width)."""
        assert self._delta is not None
        return self._delta[:, : len(batch.labels)]
