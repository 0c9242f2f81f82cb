"""The loop: draws batches, replays them, and stops when the planned passes are spent."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from gratis.augmentation import Augment
from gratis.data import Batch, Batches
from gratis.seeds import generator
from gratis.training import checkpoint
from gratis.training.budget import Plan, plan_after
from gratis.training.divergence import rate_factor, rollbacks
from gratis.training.fit import Fit
from gratis.training.identity import Identity
from gratis.training.metrics import Averages
from gratis.training.micro_batching import MicroBatching, fewest_images, more_parts, parts_after
from gratis.training.monitor import OverfittingMonitor
from gratis.training.settings import TrainSettings
from gratis.training.step import TrainState, train_step

logger = logging.getLogger(__name__)


class Trainer:
    """One training run, resumable at every step: the plan, the position in it, and the step."""

    def __init__(
        self,
        train_state: TrainState,
        batches: Batches,
        augment: Augment | None,
        settings: TrainSettings,
        passes_per_image: float = 1.0,
    ) -> None:
        """Plan the run; ``passes_per_image`` is the model's, with its denoiser.

        ``cost`` is then the passes that one replay of an image costs.
        """
        self.train_state, self.batches, self.settings = train_state, batches, settings
        self._augment, self._fewest = augment, fewest_images(train_state.module)
        self.cost = passes_per_image * train_state.adversary.passes() * train_state.objective.views
        units = self.cost if settings.count == "images" else 1.0
        self._planned = settings.epochs * batches.image_count * units
        self.position = checkpoint.Position(images=batches.image_count)
        self.averages = {"step": Averages(), "epoch": Averages()}
        self.in_force: dict[str, float] = {}
        self._batch: Batch | None = None

    @property
    def planned(self) -> float:
        """The passes to make in all."""
        return self._plan().planned

    @property
    def progress(self) -> float:
        """Passes done / passes planned, in [0, 1]; what is left is spread over what is planned."""
        return self._plan().at(self.position.passes)

    @property
    def epoch(self) -> float:
        """Passes done / training images."""
        return self.position.passes / self.batches.image_count

    @property
    def finished(self) -> bool:
        """Whether one more replay would end further from the planned passes than this."""
        return self.planned - self.position.passes < self.cost * self.batches.largest / 2

    def run(
        self,
        folder: Path,
        identity: Identity,
        stopping: Callable[[], bool] = lambda: False,
        monitor: OverfittingMonitor | None = None,
    ) -> bool:
        """Train to the end, or until ``stopping()`` says so at the next step.

        Writes ``metrics.jsonl`` and ``checkpoint.safetensors`` into ``folder``, and goes on from
        the checkpoint if there is one. Returns whether the run is finished.

        Raises:
            GratisError: the folder cannot be written, its checkpoint belongs to another run, or
                training diverges.
        """
        return Fit(self, folder, identity, monitor).run(stopping)

    def step(self) -> float:
        """Train on the next replay; return the passes that it cost.

        ``in_force`` then tells the schedules' values that it was made with. Where memory does not
        do for it, the batch is split, and that is added to the position's events.

        Raises:
            GratisError: memory does not do however small the parts.
        """
        place, t = self.position, self.progress
        batch = self._current()
        self.in_force = self.train_state.adversary.describe(t)
        if "replays" in self.in_force:
            self.in_force["replays"] = place.replays  # as read when the batch was drawn
        self.in_force["learning_rate"] = self._set_learning_rate(t)
        values = self._train(batch, t)
        passes = self.cost * len(batch)
        for part in self.averages.values():
            part.add(values, passes, len(batch))
        place.steps += 1
        place.passes += passes
        place.replay += 1
        if place.replay == place.replays or self.finished:
            place.batches += 1
            place.replay = 0
            self._batch = None
        return passes

    def restore(self, path: Path, identity: Identity) -> None:
        """Go to where the checkpoint at ``path`` stands.

        Raises:
            GratisError: as :func:`gratis.training.checkpoint.load`.
        """
        self.position, averages = checkpoint.load(path, self.train_state, identity)
        self._batch = None
        for name, part in self.averages.items():
            part.load_state_dict(checkpoint.stripped(name, averages))

    def save(self, path: Path, identity: Identity) -> None:
        """Write a checkpoint to ``path``.

        Raises:
            GratisError: it cannot be written.
        """
        self.position.finished = self.finished
        averages = {
            f"{name}.{key}": value
            for name, part in self.averages.items()
            for key, value in part.state_dict().items()
        }
        checkpoint.save(path, self.train_state, self.position, averages, identity)

    def _plan(self) -> Plan:
        return plan_after(self.position.events, self._planned)

    def _train(self, batch: Batch, t: float) -> dict[str, Tensor]:
        """Make the step, in as many parts as it takes; return what it reports."""
        place, most = self.position, max(1, len(batch) // self._fewest)
        while True:
            batch.parts = min(parts_after(place.events), most)
            try:
                return train_step(self.train_state, batch, t, place.steps)
            except torch.OutOfMemoryError:
                parts = more_parts(batch.parts, most)
            # Here, where nothing holds on to the memory of the step that failed.
            place.events.append(MicroBatching(place.steps, self.epoch, place.passes, parts))
            logger.info(f"out of memory: batches now go through the model in {parts} parts")

    def _current(self) -> Batch:
        """Return the batch under way, with its views: drawn once for all its replays."""
        if self._batch is None:
            if self.position.replay == 0:
                self.position.replays = self.train_state.adversary.replays(self.progress)
            self._batch = self._draw()
        return self._batch

    def _draw(self) -> Batch:
        batch = self.batches[self.position.batches]
        views = self.train_state.objective.views
        if self._augment is not None:
            source = generator(
                batch.images.device, self.train_state.seed, "augment", self.position.batches
            )
            batch.views, batch.maps = self._augment(batch.images, source, views)
        elif views > 1:
            batch.views = batch.images.repeat(views, 1, 1, 1)
        return batch

    def _set_learning_rate(self, t: float) -> float:
        rate = self.settings.learning_rate(t) * rate_factor(rollbacks(self.position.events))
        for group in self.train_state.optimizer.param_groups:
            group["lr"] = rate
        return rate
