"""Adjust the planned passes of a run to its pace, so that it uses its time budget."""

import logging
import math

from gratis import ranks
from gratis.training.monitor import PASSES, OverfittingMonitor
from gratis.training.time_budget import NewPlan, Pace
from gratis.training.trainer import Trainer

logger = logging.getLogger(__name__)

# A change of the plan by this share is worth a line for the user.
_NOTABLE = 0.1
_TOO_SHORT = (
    ", too few to learn from; give more time, or use smaller images (model.input_size, in gratis "
    "harden --input-size)"
)


class Pacing:
    """Adds a :class:`NewPlan` to the events of a run where its pace requires one."""

    def __init__(self, trainer: Trainer, monitor: OverfittingMonitor | None) -> None:
        """Prepare for a run; its pace is measured from the end of the first step on.

        The first step is slow, and says nothing about the others.
        """
        self._trainer = trainer
        self._monitor = 0.0 if monitor is None else PASSES * monitor.images
        self._pace: Pace | None = None
        self._shown = math.inf

    def restart(self) -> None:
        """Measure the pace anew, after a rollback."""
        self._pace = None

    def note_monitor(self, seconds: float) -> None:
        """Note how long the overfitting monitor took."""
        if self._pace is not None:
            self._pace.note_monitor(seconds)

    def after_step(self, elapsed: float, ending: float) -> bool:
        """Plan again if the pace requires it; return whether there is a new plan.

        ``elapsed`` are the seconds of the run so far, ``ending`` those that it takes to save the
        last checkpoint.
        """
        trainer, position = self._trainer, self._trainer.position
        if trainer.settings.budget is None:
            return False
        if self._pace is None:
            self._pace = self._new_pace(trainer.settings.budget, elapsed)
        planned = ranks.of_first(self._pace.plan(position.passes, trainer.planned, ending))
        if planned is None:
            return False
        reached = position.steps, trainer.epoch, position.passes
        position.events.append(NewPlan(*reached, trainer.progress, planned))
        self._report(trainer.settings.budget)
        return True

    def _new_pace(self, budget: float, elapsed: float) -> Pace:
        trainer = self._trainer
        between = trainer.batches.image_count * trainer.settings.monitor_every_epochs
        return Pace(budget, elapsed, trainer.position.passes, self._monitor, between)

    def _report(self, budget: float) -> None:
        """Log the new plan; at the level INFO if it is the first, or differs much from the last."""
        trainer, before = self._trainer, self._shown
        planned = trainer.planned
        epochs = planned / trainer.batches.image_count
        if math.isinf(before):
            message = f"{epochs:.3g} epochs fit the budget of {budget:g} s"
        else:
            speed = "slower" if planned < before else "faster"
            message = f"epoch {trainer.epoch:.1f}: {speed} than planned, now {epochs:.3g} epochs"
        level = logging.INFO
        if epochs < 1:
            level = logging.WARNING
            message += _TOO_SHORT
        notable = math.isinf(before) or abs(planned - before) > _NOTABLE * before
        logger.log(level if notable else logging.DEBUG, message)
        if notable:
            self._shown = planned
