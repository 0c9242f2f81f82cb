"""The trainer: the plan of a run, the position in it, and its next step."""

import logging
import math
from pathlib import Path

import torch
from torch import Tensor

from gratis.data import Batch, Batches
from gratis.ranks import world_size
from gratis.training import checkpoint
from gratis.training.divergence import rate_factor, rollbacks
from gratis.training.identity import RunIdentity
from gratis.training.metrics import RunningMeans
from gratis.training.micro_batching import (
    MicroBatching,
    micro_batches_after,
    more_micro_batches,
    refuse_if_several,
    smallest_micro_batch,
)
from gratis.training.position import Position
from gratis.training.settings import TrainSettings
from gratis.training.step import TrainState, train_step
from gratis.training.time_budget import Plan, plan_after

logger = logging.getLogger(__name__)


class Trainer:
    """One training run, which a checkpoint can restore at any step.

    Attributes:
        cost: the passes of one replay of one image.
        first_planned: the passes of the run before any change of plan; infinite with a budget.
        position: how far the run has come.
        averages: the means of what steps report, since the last line of the log of each kind.
        scheduled: the values of the schedules at the last step.
    """

    def __init__(
        self,
        train_state: TrainState,
        batches: Batches,
        settings: TrainSettings,
        passes_per_image: float = 1.0,
    ) -> None:
        """Plan the run; ``passes_per_image`` is the model's cost, with its denoiser."""
        self.train_state, self.batches, self.settings = train_state, batches, settings
        self._smallest_micro_batch = smallest_micro_batch(train_state.module)
        self.cost = passes_per_image * train_state.passes_per_view * train_state.objective.views
        units = self.cost if settings.epoch_unit == "images" else 1.0
        self.first_planned = settings.epochs * batches.image_count * units
        if settings.budget is not None:
            # Until the pace of the run gives the first plan.
            self.first_planned = math.inf
        self.position = Position(images=batches.image_count)
        self.averages = {"step": RunningMeans(), "epoch": RunningMeans()}
        self.scheduled: dict[str, float] = {}
        self._batch: Batch | None = None

    @property
    def planned(self) -> float:
        """The number of passes that the run makes; infinite until a budget gives it."""
        return self._plan().planned

    @property
    def progress(self) -> float:
        """Training progress t in [0, 1]: passes done / passes planned."""
        return self._plan().progress_at(self.position.passes)

    @property
    def epoch(self) -> float:
        """Passes done / training images."""
        return self.position.passes / self.batches.image_count

    @property
    def finished(self) -> bool:
        """Whether stopping now is closer to the planned passes than one more replay."""
        return self.planned - self.position.passes < self.cost * self.batches.largest / 2

    def step(self) -> float:
        """Train on the next replay; return the number of passes that it cost.

        If the device runs out of memory, the batch is split and a :class:`MicroBatching` event is
        added to the position.
        """
        position, t = self.position, self.progress
        batch = self._current_batch()
        self.scheduled = self.train_state.adversary.describe(t)
        if "replays" in self.scheduled:
            self.scheduled["replays"] = position.replays  # as read when the batch was drawn
        self.scheduled["learning_rate"] = self._set_learning_rate(t)
        report = self._train(batch, t)
        passes = self.cost * batch.all_images
        for averages in self.averages.values():
            averages.add(report, passes, batch.all_images)
        position.steps += 1
        position.passes += passes
        position.replay += 1
        if position.replay == position.replays or self.finished:
            position.batches += 1
            position.replay = 0
            self._batch = None
        return passes

    def drop_batch(self) -> None:
        """Let the next step read its batch again."""
        self._batch = None

    def restore(self, path: Path, identity: RunIdentity) -> None:
        """Continue from the checkpoint at ``path``."""
        self.position, averages = checkpoint.load(
            path, self.train_state, identity, self.batches.largest
        )
        self.drop_batch()
        for name, own in self.averages.items():
            own.load_state_dict(checkpoint.stripped(name, averages))

    def save(self, path: Path, identity: RunIdentity) -> None:
        """Write a checkpoint to ``path``.

        Raises:
            GratisError: it cannot be written.
            Divergence: weights or another part of the state are not finite.
        """
        self.position.finished = self.finished
        self.position.threads = torch.get_num_threads()
        self.position.ranks = world_size()
        averages = {
            f"{name}.{key}": value
            for name, own in self.averages.items()
            for key, value in own.state_dict().items()
        }
        checkpoint.save(path, self.train_state, self.position, averages, identity)

    def _plan(self) -> Plan:
        return plan_after(self.position.events, self.first_planned)

    def _train(self, batch: Batch, t: float) -> dict[str, Tensor]:
        """Make the step, in as many micro-batches as memory requires; return its report."""
        position, most = self.position, max(1, len(batch) // self._smallest_micro_batch)
        while True:
            micro_batches = min(micro_batches_after(position.events), most)
            try:
                return train_step(self.train_state, batch, t, position.steps, micro_batches)
            except torch.OutOfMemoryError:
                refuse_if_several()
                micro_batches = more_micro_batches(micro_batches, most)
            # Outside of the except block, which keeps the memory of the failed step alive.
            reached = position.steps, self.epoch, position.passes
            position.events.append(MicroBatching(*reached, micro_batches))
            logger.warning(
                f"out of memory: batches now go through the model in {micro_batches} micro-batches"
            )

    def _current_batch(self) -> Batch:
        """Return the batch of the next replay; all replays of a batch have the same views."""
        if self._batch is None:
            if self.position.replay == 0:
                self.position.replays = self.train_state.adversary.replays(self.progress)
            self._batch = self.batches[self.position.batches]
        return self._batch

    def _set_learning_rate(self, t: float) -> float:
        rate = self.settings.learning_rate(t) * rate_factor(rollbacks(self.position.events))
        for group in self.train_state.optimizer.param_groups:
            group["lr"] = rate
        return rate
