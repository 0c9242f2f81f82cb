"""Free training in two norms by turns: each batch draws L-infinity or L2 (Croce and Hein 2022).

As in their E-AT, a batch is attacked in one norm only, so that robustness in both norms costs no
more than in one. They draw a norm by the robust error in it; here the share of L2 is a setting.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from gratis.adversary.base import Adversary, AdversarySettings, Model
from gratis.adversary.free import FreeAT
from gratis.attacks import Norm
from gratis.data import Batch
from gratis.schedule import Constant, Scheduled, ScheduleLike, within
from gratis.seeds import generator
from gratis.settings import validate


class MultiNormSettings(AdversarySettings):
    """Free training in two norms; every number may be a schedule.

    Attributes:
        replays: how often each batch is trained on; rounded when a batch is drawn.
        epsilon: the L-infinity norm of delta, in [0, 1] units of pixel value. In a recipe, the
            default is ``evaluate.epsilon``.
        epsilon_l2: the L2 norm of delta, in the same units.
        share_l2: the probability that a batch is attacked in L2.
    """

    replays: Annotated[Scheduled, within(1)] = Constant(value=4)
    epsilon: Annotated[Scheduled, within(0, 1)] = Constant(value=8 / 255)
    epsilon_l2: Annotated[Scheduled, within(0)] = Constant(value=0.5)
    share_l2: Annotated[Scheduled, within(0, 1)] = Constant(value=0.5)

    def build(self, seed: int) -> "MultiNormFreeAT":
        """Return the adversary."""
        return MultiNormFreeAT(**dict(self), seed=seed)


class MultiNormFreeAT(Adversary):
    """Keeps a delta in each norm; a batch uses one of them in all its replays."""

    row_dims: ClassVar[Mapping[str, int]] = {"linf.delta": 1, "l2.delta": 1}

    def __init__(
        self,
        *,
        replays: ScheduleLike = 4,
        epsilon: ScheduleLike = 8 / 255,
        epsilon_l2: ScheduleLike = 0.5,
        share_l2: ScheduleLike = 0.5,
        seed: int = 0,
    ) -> None:
        """Take the fields of :class:`MultiNormSettings`, and the seed of the draws.

        Raises:
            GratisError: a value is out of range.
        """
        given = {"replays": replays, "epsilon": epsilon, "epsilon_l2": epsilon_l2}
        self.settings = validate(MultiNormSettings, given | {"share_l2": share_l2}, "MultiNorm")
        self._free: dict[Norm, FreeAT] = {
            "linf": FreeAT(epsilon=self.settings.epsilon, norm="linf"),
            "l2": FreeAT(epsilon=self.settings.epsilon_l2, norm="l2"),
        }
        self._seed, self._batches = seed, 0
        self._norm: Norm = "linf"
        self._batch: Batch | None = None
        # The batch's number: after a resume between two replays it must not draw again.
        self._number: int | None = None

    def replays(self, t: float) -> int:
        """Return m(t), rounded, at least 1."""
        return max(1, round(self.settings.replays(t)))

    def perturb(self, model: Model, batch: Batch, t: float, micro_batches: int = 1) -> Tensor:
        """Return the views with the delta of the batch's norm added."""
        if batch is not self._batch:
            self._start_batch(batch, t)
        return self._free[self._norm].perturb(model, batch, t, micro_batches)

    def update_delta(self, batch: Batch, t: float) -> None:
        """Move the delta of the batch's norm, as :class:`FreeAT` does.

        Raises:
            GratisError: no backward pass has reached the images of this replay.
        """
        self._free[self._norm].update_delta(batch, t)

    def describe(self, t: float) -> dict[str, float]:
        """Return epsilon in both norms, and replays, at ``t``."""
        s = self.settings
        return {"epsilon": s.epsilon(t), "epsilon_l2": s.epsilon_l2(t), "replays": self.replays(t)}

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of both adversaries, the number of draws, and the current batch's."""
        numbers = {"batches": self._batches, "l2": int(self._norm == "l2"), "batch": self._number}
        state = {k: torch.tensor(v, device="cpu") for k, v in numbers.items() if v is not None}
        for norm, free in self._free.items():
            state |= {f"{norm}.{name}": value for name, value in free.state_dict().items()}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a saved state.

        Raises:
            ValueError: a tensor has the wrong shape.
        """
        for norm, free in self._free.items():
            start = f"{norm}."
            free.load_state_dict(
                {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
            )
        self._batches, self._norm = int(state["batches"]), "l2" if state["l2"] else "linf"
        self._number = int(state["batch"]) if "batch" in state else None
        self._batch = None

    def _start_batch(self, batch: Batch, t: float) -> None:
        """Draw the norm of a new batch."""
        resumed = self._number is not None and self._number == batch.number
        self._batch, self._number = batch, batch.number
        if resumed:
            return
        source = generator("cpu", self._seed, "norm", self._batches)
        self._batches += 1
        draw = float(torch.rand((), generator=source, device="cpu"))
        self._norm = "l2" if draw < self.settings.share_l2(t) else "linf"
