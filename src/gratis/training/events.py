"""The logger: writes what training comes to, and refuses to go on where that is not sound."""

import logging
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gratis.errors import GratisError
from gratis.progress import Bar
from gratis.results import collapsed
from gratis.training.checkpoint import Event
from gratis.training.divergence import Overfitting, refuse_exploded
from gratis.training.metrics import JsonLinesLog
from gratis.training.monitor import OverfittingMonitor

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from gratis.training.trainer import Trainer


class Logger:
    """Writes the lines of ``metrics.jsonl``: of some steps, of epochs, and of events."""

    def __init__(self, trainer: "Trainer", path: Path, monitor: OverfittingMonitor | None) -> None:
        """Go on with the log at ``path`` from where the trainer stands.

        Raises:
            GratisError: the file cannot be written.
        """
        self._trainer, self._monitor = trainer, monitor
        self._lines = JsonLinesLog(path, trainer.position.metrics_bytes)

    def log(self, shown: Bar) -> None:
        """Write the means of the steps since the last such line, and show them beside the bar.

        Raises:
            Divergence: the loss has exploded, or is no longer finite.
        """
        trainer = self._trainer
        self._refuse_exploded("step")
        line = self._line("step") | trainer.in_force | trainer.averages["step"].read()
        self._lines.write(line)
        terms = [f"{name} {line[name]:.3f}" for name in trainer.train_state.objective.names]
        note = f"epoch {trainer.epoch:.1f}  {'  '.join(terms)}  accuracy {line['accuracy']:.0%}"
        if "epsilon" in line:
            note += f"  epsilon {255 * line['epsilon']:.1f}/255"
        if "replays" in line:
            note += f"  replays {line['replays']}"
        shown.advance(0, f"{note}  {line['images_per_second']:.0f} images/s")

    def end_epoch(self, before: float) -> bool:
        """Write the epoch's line, with the held-out accuracies where the monitor is due.

        It is due every ``monitor_every`` epochs and at the end of training. Returns whether a
        checkpoint must be saved now, because the monitor found nothing and is to be relied upon.

        Raises:
            Divergence: the loss has exploded or is no longer finite, or the monitor found
                catastrophic overfitting and the settings say to roll back.
            GratisError: it did, and they say to stop.
        """
        trainer = self._trainer
        self._refuse_exploded("epoch")
        line = self._line("epoch") | trainer.averages["epoch"].read()
        every = trainer.settings.monitor_every
        # By whole epochs: only at their ends is there a line to look for.
        due = trainer.finished or int(trainer.epoch) // every > int(before) // every
        if self._monitor is not None and due:
            line["held_out"] = seen = self._monitor(trainer.train_state.evaluated)
            self._heed(seen["fgsm"], seen["pgd"])
        self._lines.write(line)
        return due and trainer.settings.on_overfitting == "rollback"

    def record(self, event: Event) -> None:
        """Write a event, and add it to those that the position holds."""
        self._trainer.position.events.append(event)
        self.note(event)

    def note(self, event: Event) -> None:
        """Write a event that the position holds already."""
        self._lines.write(asdict(event))

    def rewind(self) -> None:
        """Drop what was written after the position that the trainer has gone back to."""
        self._lines.rewind(self._trainer.position.metrics_bytes)

    def sync(self) -> None:
        """Put all lines on the disk, and note in the position how many bytes they are.

        Raises:
            Divergence: the steps since the last line are not sound.
        """
        self._refuse_exploded("step")
        self._trainer.position.metrics_bytes = self._lines.sync()

    def close(self) -> None:
        """Close the log."""
        self._lines.close()

    def _heed(self, fgsm: float, pgd: float) -> None:
        """Do about catastrophic overfitting what the settings say."""
        trainer = self._trainer
        # A natural model falls to every attack: no news.
        attacked = "epsilon" in trainer.train_state.adversary.describe(trainer.progress)
        if not (attacked and collapsed(fgsm, pgd)):
            return
        seen = f"catastrophic overfitting, held-out FGSM accuracy {fgsm:.0%} but PGD {pgd:.0%}"
        if trainer.settings.on_overfitting == "rollback":
            raise Overfitting(seen)
        message = f"epoch {trainer.epoch:.1f}: {seen}; lower epsilon or the step size"
        if trainer.settings.on_overfitting == "stop":
            raise GratisError(message)
        logger.info(message)

    def _refuse_exploded(self, part: str) -> None:
        first = self._trainer.position.first_loss
        refuse_exploded(self._trainer.averages[part].means(), math.inf if first is None else first)

    def _line(self, kind: str) -> dict[str, Any]:
        done = self._trainer.position
        return {
            "kind": kind,
            "step": done.steps,
            "epoch": round(self._trainer.epoch, 4),
            "passes": round(done.passes),
        }
