"""Fit: train a run in one process, from its checkpoint to the end or to a stop."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gratis import ranks
from gratis.errors import GratisError, Interrupted, quoted
from gratis.progress import Bar, bar
from gratis.training import checkpoint
from gratis.training.divergence import Divergence, Rollback, rate_factor, refuse_rollback, rollbacks
from gratis.training.identity import RunIdentity
from gratis.training.monitor import OverfittingMonitor
from gratis.training.pacing import Pacing
from gratis.training.position import Event, warn_of_rounding
from gratis.training.rollback_points import RollbackPoints
from gratis.training.save_policy import SavePolicy
from gratis.training.time_budget import NewPlan
from gratis.training.trainer import Trainer
from gratis.training.training_log import TrainingLog

logger = logging.getLogger(__name__)


def fit(
    trainer: Trainer,
    folder: Path,
    identity: RunIdentity,
    stopping: Callable[[], bool] = lambda: False,
    monitor: OverfittingMonitor | None = None,
) -> bool:
    """Train to the end or to a stop; return whether the run is finished.

    Continues from the checkpoint in ``folder``, if there is one. Writes ``metrics.jsonl`` and
    ``checkpoint.safetensors`` there.

    Args:
        trainer: the run, at its beginning.
        folder: the folder of the run.
        identity: what must be the same in all processes that train the run.
        stopping: returns whether to stop; called before every step.
        monitor: the overfitting monitor, if there is one.

    Raises:
        GratisError: the folder cannot be written, its checkpoint belongs to another run, or
            training diverges.
    """
    return _Fit(trainer, folder, identity, monitor).run(stopping)


class _Fit:
    """The state of one process that trains a run."""

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        identity: RunIdentity,
        monitor: OverfittingMonitor | None,
    ) -> None:
        self._trainer, self._identity = trainer, identity
        self._path = folder / "checkpoint.safetensors"
        per_step = trainer.cost * trainer.batches.largest
        self._points = RollbackPoints(folder, trainer.first_planned, per_step)
        self._save_policy = SavePolicy(trainer.settings.checkpoint_every_minutes)
        self._started = time.monotonic()
        self._fresh = ranks.of_first(not checkpoint.exists(self._path))
        if not self._fresh:
            trainer.restore(self._path, identity)
            warn_of_rounding(trainer.position)
        self._log = TrainingLog(trainer, folder / "metrics.jsonl", monitor)
        self._elapsed_before = trainer.position.elapsed
        self._pacing = Pacing(trainer, monitor)

    def run(self, stopping: Callable[[], bool]) -> bool:
        trainer = self._trainer
        # Explicitly, although new modules are in training mode: a frozen backbone stays out of it.
        trainer.train_state.module.train()
        try:
            if self._fresh:
                self._save_beginning()
            with bar("training", self._total()) as progress_bar:
                progress_bar.advance(trainer.position.passes)
                while not self._train_without_divergence(stopping, progress_bar):
                    pass
        finally:
            self._log.close()
        return trainer.finished

    def _train_without_divergence(self, stopping: Callable[[], bool], progress_bar: Bar) -> bool:
        """Train to the end or to a stop and save; return False after a rollback."""
        try:
            while not (self._trainer.finished or ranks.any_rank(stopping())):
                self._step(progress_bar)
            self._save()
            if self._trainer.finished:
                self._points.remove()
        except Divergence as divergence:
            if ranks.any_rank(stopping()):
                # The process that resumes the run diverges again, and rolls back.
                raise Interrupted(
                    f"stopped after epoch {self._trainer.epoch:.1f} without saving, because "
                    f"{divergence}; continue from the last checkpoint with: "
                    f"gratis resume {quoted(self._path.parent)}"
                ) from divergence
            self._roll_back(divergence, progress_bar)
            return False
        return True

    def _step(self, progress_bar: Bar) -> None:
        """Make one step, then log, save and adapt to the budget where these are due."""
        trainer, position = self._trainer, self._trainer.position
        started, epoch, known = time.monotonic(), trainer.epoch, len(position.events)
        passes = position.passes
        progress_bar.advance(trainer.step())
        if self._pacing.after_step(self._elapsed(), self._save_policy.last):
            progress_bar.resize(trainer.planned)
        new_events = position.events[known:]
        for event in new_events:
            self._log.log_event(event)
        if position.first_loss is None:
            position.first_loss = trainer.averages["step"].means()["loss"]
        # At the end too: the last steps must be logged and finite.
        logged = position.steps % trainer.settings.log_every_steps == 0 or trainer.finished
        if logged:
            self._log.log_steps(progress_bar)
        position.seconds += time.monotonic() - started
        ended = int(trainer.epoch) > int(epoch) or trainer.finished
        robust = ended and self._log_epoch(epoch, progress_bar)
        point = robust or self._points.due(passes, position.passes)
        if point and not trainer.finished:
            self._save_point(robust)
        # New events are saved at once, so that a process that resumes after a kill repeats them. A
        # new plan of the time budget is not: the time since the last checkpoint is lost anyway, and
        # with it the plan's reason.
        due = (logged or ended) and self._save_policy.due(ended)
        lasting = any(not isinstance(event, NewPlan) for event in new_events)
        if (lasting or due) and not (point or trainer.finished):
            self._save_if_finite()

    def _log_epoch(self, epoch: float, progress_bar: Bar) -> bool:
        """Log the end of an epoch; return whether to roll back to it after overfitting."""
        known = len(self._log.monitor_seconds)
        robust = self._log.log_epoch(epoch, progress_bar)
        for seconds in self._log.monitor_seconds[known:]:
            self._pacing.note_monitor(seconds)
        return robust

    def _roll_back(self, divergence: Divergence, progress_bar: Bar) -> None:
        """Go back to an earlier position, by the rule of :mod:`gratis.training.divergence`."""
        trainer, before = self._trainer, self._trainer.position
        reached = before.steps, trainer.epoch, before.passes
        where = f"{divergence} after epoch {trainer.epoch:.1f}"
        refuse_rollback(where, trainer.settings.on_divergence, before.events)
        ranks.wait_for_all()  # the first one may still be writing
        trainer.restore(self._points.to_restore(divergence, self._path), self._identity)
        self._log.rewind()
        # Earlier rollbacks and micro-batching still apply, although they happened after the
        # restored checkpoint.
        events = trainer.position.events
        for event in before.events[len(events) :]:
            if not isinstance(event, NewPlan):
                self._record(event)
        factor = rate_factor(rollbacks(events) + 1)
        self._record(Rollback(*reached, trainer.position.steps, str(divergence), factor))
        self._save()
        self._pacing.restart()
        progress_bar.resize(self._total())
        progress_bar.advance(trainer.position.passes - before.passes)
        logger.warning(
            f"{where}: back to epoch {trainer.epoch:.1f}, the learning rate now times {factor:g}"
        )

    def _total(self) -> float | None:
        """Return the passes of the whole run, as far as they are known."""
        planned = self._trainer.planned
        return planned if math.isfinite(planned) else None

    def _elapsed(self) -> float:
        """Return the wall time of all processes that trained this run, in seconds."""
        return self._elapsed_before + time.monotonic() - self._started

    def _record(self, event: Event) -> None:
        self._trainer.position.events.append(event)
        self._log.log_event(event)

    def _save_beginning(self) -> None:
        """Save the state before training, so that there is always a checkpoint to go back to."""
        try:
            self._save_point(self._trainer.settings.on_overfitting == "rollback")
        except Divergence as divergence:
            raise GratisError(
                f"{divergence} before training began; check model.weights"
            ) from divergence

    def _save_point(self, robust: bool) -> None:
        """Save a checkpoint to go back to, which is also the newest one."""
        started = time.monotonic()
        self._points.save(self._write, self._path, robust=robust)
        self._trainer.position.saving += self._save_policy.note(started)

    def _save_if_finite(self) -> None:
        """Save, unless the state is not finite or the loss has exploded.

        The clock decides when this is called, so a divergence that it finds is ignored. Lines of
        the log, rollback points and the end are at fixed steps, and go back.
        """
        with suppress(Divergence):
            self._save()

    def _save(self) -> None:
        started = time.monotonic()
        self._write(self._path)
        self._trainer.position.saving += self._save_policy.note(started)

    def _write(self, path: Path) -> None:
        """Write the state to ``path``.

        Raises:
            Divergence: it is not finite, or the loss has exploded since the last line of the log.
        """
        self._log.sync()
        self._trainer.position.elapsed = self._elapsed()
        self._trainer.save(path, self._identity)
