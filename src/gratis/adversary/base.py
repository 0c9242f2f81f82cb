"""The interface of an adversary: it perturbs the batches that a model is trained on."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

from pydantic import ValidationInfo, field_validator
from torch import Tensor, nn

from gratis.attacks import BALLS, LpBall, Norm
from gratis.data import Batch
from gratis.errors import GratisError
from gratis.schedule import Schedule
from gratis.schedule.shapes import refuse_outside
from gratis.settings import Settings, brief, is_number

# Any module from images in [0, 1] to logits, or to an object with ``logits``.
Model = nn.Module


class Adversary(ABC):
    """Perturbs training batches.

    One batch in a training loop, at progress ``t`` in [0, 1]::

        for x in adversary.replay(model, images, labels, t):
            loss = functional.cross_entropy(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    Attributes:
        perturbs: whether training batches are ever perturbed. Only then can training overfit to
            a single attack step, and only then does the overfitting monitor act.
        row_dims: of each tensor in :meth:`state_dict` that has a row for each image of a batch, the
            dimension of these rows. Every rank keeps its own rows (:mod:`gratis.ranks`).
    """

    perturbs: ClassVar[bool] = True
    row_dims: ClassVar[Mapping[str, int]] = {}

    def replays(self, t: float) -> int:
        """Return how often a batch drawn at ``t`` is trained on: the paper's m."""
        return 1

    def passes(self) -> int:
        """Return the number of passes per view in one replay."""
        return 1

    @abstractmethod
    def perturb(self, model: Model, batch: Batch, t: float, micro_batches: int = 1) -> Tensor:
        """Return the images to train on: ``batch.views`` perturbed, in [0, 1].

        Args:
            model: maps images to logits, or to an object with ``logits``.
            batch: the images and their views.
            t: training progress in [0, 1], which schedules are functions of.
            micro_batches: in how many parts attack passes take the batch, to save memory.
        """

    def update_delta(self, batch: Batch, t: float) -> None:  # noqa: B027  most adversaries keep nothing
        """Move the perturbation, after the backward pass, along the gradient of the images.

        The images are those that :meth:`perturb` returned.

        Raises:
            GratisError: the adversary needs that gradient and there is none.
        """

    def replay(
        self,
        model: Model,
        images: Tensor,
        labels: Tensor,
        t: float = 0.0,
        *,
        indices: Tensor | None = None,
        split_size: int | None = None,
    ) -> Iterator[Tensor]:
        """Yield the images to train on, once for each replay of a batch.

        The caller makes one training step with each: a forward pass of exactly these images, a
        backward pass, an optimizer step. The adversary reads the gradient of the images when the
        next iteration starts.

        Args:
            model: maps images to logits, or to an object with ``logits``.
            images: float (n, 3, height, width) in [0, 1], not normalised.
            labels: int64 (n,).
            t: training progress in [0, 1], which schedules are functions of.
            indices: int64 (n,), the position of each image in the training set. Only
                :class:`CachedFreeAT` needs it.
            split_size: the number of images in the training set, together with ``indices``.

        Raises:
            GratisError: the last replay made no backward pass through the images, ``t`` is out
                of range, or as :meth:`gratis.data.Batch.of`.
        """
        if not is_number(t) or not 0 <= t <= 1:
            raise GratisError(f"t: training progress is in [0, 1], not {brief(t)}")
        batch = Batch.of(images, labels, indices, split_size)
        for _ in range(self.replays(t)):
            yield self.perturb(model, batch, t)
            self.update_delta(batch, t)

    def describe(self, t: float) -> dict[str, float]:
        """Return the values in force at ``t``, for logs."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything that later batches depend on."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:  # noqa: B027
        """Continue from a state that :meth:`state_dict` returned."""


class AdversarySettings(Settings):
    """The settings of one kind of adversary."""

    def kept_bytes(self, images: int, views: int, size: int) -> int:
        """Return how much memory the adversary keeps for the whole training set, in bytes.

        Args:
            images: the number of training images.
            views: the views of each image.
            size: their height and width, in pixels.
        """
        return 0

    @abstractmethod
    def build(self, seed: int) -> Adversary:
        """Return the adversary; all its random numbers derive from ``seed``."""


class NormSettings(AdversarySettings):
    """The settings of an adversary that stays within a norm ball.

    Attributes:
        norm: ``linf`` or ``l2``; that of epsilon and of the steps.
    """

    norm: Norm = "linf"

    @field_validator("epsilon", "step_size", check_fields=False)
    @classmethod
    def _in_range(cls, schedule: Schedule | None, info: ValidationInfo) -> Schedule | None:
        """Refuse values above 1 in L-infinity: images are in [0, 1]. In L2 they may be larger."""
        if schedule is not None and info.data.get("norm") == "linf":
            refuse_outside(schedule, 0, 1)
        return schedule

    @property
    def ball(self) -> LpBall:
        """The norm ball."""
        return BALLS[self.norm]
