"""A leg: what one process trains of a run, with its log, its checkpoints and its troubles."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gratis.errors import GratisError, Interrupted
from gratis.progress import Bar, bar
from gratis.training import checkpoint, checkpoint_file
from gratis.training.budget import Pace, Shortening
from gratis.training.divergence import (
    MOST_ROLLBACKS,
    Divergence,
    Overfitting,
    Rollback,
    rate_factor,
    rollbacks,
)
from gratis.training.events import Logger
from gratis.training.identity import Identity
from gratis.training.monitor import OverfittingMonitor
from gratis.training.save_policy import SavePolicy

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from gratis.training.trainer import Trainer


class Fit:
    """Trains from the folder's checkpoint, or from the beginning, to the end or to a stop."""

    def __init__(
        self,
        trainer: "Trainer",
        folder: Path,
        identity: Identity,
        monitor: OverfittingMonitor | None,
    ) -> None:
        """Go to where the checkpoint in ``folder`` stands, if there is one.

        Raises:
            GratisError: the folder cannot be written, or its checkpoint belongs to another run.
        """
        self._trainer, self._identity = trainer, identity
        self._path = folder / "checkpoint.safetensors"
        self._withstood = folder / "checkpoint.withstood.safetensors"
        self._save_policy = SavePolicy(trainer.settings.checkpoint_minutes)
        self._began = time.monotonic()
        self._fresh = not checkpoint.exists(self._path)
        if not self._fresh:
            trainer.restore(self._path, identity)
        self._logger = Logger(trainer, folder / "metrics.jsonl", monitor)
        self._elapsed_before = trainer.position.elapsed
        self._pace: Pace | None = None

    def run(self, stopping: Callable[[], bool]) -> bool:
        """Train until the run is finished, or ``stopping()`` says so; return which.

        Raises:
            GratisError: the folder cannot be written, or training diverges.
        """
        trainer = self._trainer
        # Said, though new modules are in this mode: a frozen backbone then stays out of it.
        trainer.train_state.module.train()
        try:
            if self._fresh:
                self._save_beginning()
            with bar("training", trainer.planned) as shown:
                shown.advance(trainer.position.passes)
                while not self._gone_through(stopping, shown):
                    pass
        finally:
            self._logger.close()
        return trainer.finished

    def _gone_through(self, stopping: Callable[[], bool], shown: Bar) -> bool:
        """Train to the end or to a stop, and save; return whether no divergence came up."""
        try:
            while not (self._trainer.finished or stopping()):
                self._advance(shown)
            self._save()
        except Divergence as divergence:
            if stopping():
                # Left to the next leg, which will come upon it again.
                raise Interrupted(
                    f"stopped after epoch {self._trainer.epoch:.1f}, not saved, because "
                    f"{divergence}; go on from the last checkpoint with: "
                    f"gratis resume {self._path.parent}"
                ) from divergence
            self._roll_back(divergence, shown)
            return False
        return True

    def _advance(self, shown: Bar) -> None:
        """Make one step, and what is due after it."""
        trainer = self._trainer
        started, epoch = time.monotonic(), trainer.epoch
        known = len(trainer.position.events)
        shown.advance(trainer.step())
        halved = trainer.position.events[known:]
        for event in halved:
            self._logger.note(event)
        if trainer.position.first_loss is None:
            trainer.position.first_loss = trainer.averages["step"].means()["loss"]
        # At the end too: the last steps belong in the log, and must have been finite.
        logged = trainer.position.steps % trainer.settings.log_every == 0 or trainer.finished
        if logged:
            self._logger.log(shown)
        trainer.position.seconds += time.monotonic() - started
        ended = int(trainer.epoch) > int(epoch) or trainer.finished
        if ended and self._logger.end_epoch(epoch) and not trainer.finished:
            self._save_sound()
        if self._pace is None:
            # Not before a step is made: compiling is slow once, and says nothing of the rest.
            self._pace = self._new_pace()
        elif not trainer.finished:
            self._keep_pace(self._pace, shown)
        # Only where nothing was found wrong a moment ago: what is saved can be gone back to. A
        # event at once, so that a killed run need not take it again.
        due = (logged or ended) and self._save_policy.due(ended)
        if (halved or due) and not trainer.finished:
            self._save()

    def _roll_back(self, divergence: Divergence, shown: Bar) -> None:
        """Go back to the last good checkpoint, by the rule of :mod:`gratis.training.divergence`.

        After catastrophic overfitting that is the last one that the monitor found sound.

        Raises:
            GratisError: the settings say to stop, or training has gone back too often.
        """
        trainer = self._trainer
        reached = trainer.position.steps, trainer.epoch, trainer.position.passes
        where = f"{divergence} after epoch {trainer.epoch:.1f}"
        if trainer.settings.on_divergence == "stop":
            raise GratisError(
                f"{where}; go on from the last checkpoint with --on-divergence rollback, or lower "
                "train.learning_rate and train into a new folder"
            )
        if rollbacks(trainer.position.events) == MOST_ROLLBACKS:
            raise GratisError(
                f"{where}, {MOST_ROLLBACKS} times after going back with half the learning rate; "
                "lower train.learning_rate and train into a new folder"
            )
        overfitted = isinstance(divergence, Overfitting) and self._withstood.exists()
        events = trainer.position.events
        trainer.restore(self._withstood if overfitted else self._path, self._identity)
        # Where it goes back beyond an earlier rollback or a want of memory, that is not forgotten.
        kept = trainer.position.events
        later = [d for d in events[len(kept) :] if not isinstance(d, Shortening)]
        trainer.position.events = [*kept, *later]
        self._logger.rewind()
        for event in later:
            self._logger.note(event)
        factor = rate_factor(rollbacks(trainer.position.events) + 1)
        self._logger.record(Rollback(*reached, trainer.position.steps, str(divergence), factor))
        # At once, so that a killed run need not decide again.
        self._save()
        self._pace = self._new_pace()
        shown.advance(trainer.position.passes - reached[-1])
        logger.info(
            f"{where}: back to epoch {trainer.epoch:.1f}, the learning rate now times {factor:g}"
        )

    def _elapsed(self) -> float:
        """Return the time that all legs have taken so far, in seconds."""
        return self._elapsed_before + time.monotonic() - self._began

    def _new_pace(self) -> Pace | None:
        budget, passes = self._trainer.settings.budget, self._trainer.position.passes
        return None if budget is None else Pace(budget, self._elapsed(), passes)

    def _keep_pace(self, pace: Pace, shown: Bar) -> None:
        """Shorten what is left where it would not end within the budget."""
        trainer = self._trainer
        planned, passes = trainer.planned, trainer.position.passes
        affordable = pace.affordable(passes, planned)
        if affordable is None:
            return
        # One more step at least, so that the last lines are written as ever.
        affordable = max(affordable, passes + trainer.cost * trainer.batches.largest)
        if affordable >= planned:
            return
        reached = trainer.position.steps, trainer.epoch, passes
        self._logger.record(Shortening(*reached, trainer.progress, affordable))
        # At once, so that a killed run need not decide again.
        self._save()
        shown.resize(affordable)
        images = trainer.batches.image_count
        logger.info(
            f"epoch {trainer.epoch:.1f}: slower than planned; {affordable / images:.1f} epochs "
            f"instead of {planned / images:.1f}, to end within the budget"
        )

    def _save_beginning(self) -> None:
        """Save what training starts from, so that there is always something to go back to."""
        try:
            self._save_sound()
        except Divergence as divergence:
            raise GratisError(
                f"{divergence} before training began; check model.weights"
            ) from divergence

    def _save_sound(self) -> None:
        """Save what the monitor has nothing against, to go back to if it ever has."""
        self._save()
        if self._trainer.settings.on_overfitting == "rollback":
            # However many are saved before the next look.
            checkpoint_file.copy(self._path, self._withstood)

    def _save(self) -> None:
        started = time.monotonic()
        self._logger.sync()
        place = self._trainer.position
        place.elapsed = self._elapsed()
        self._trainer.save(self._path, self._identity)
        place.saving += self._save_policy.note(started)
