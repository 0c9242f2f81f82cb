"""The log of a run: lines for steps, epochs and events, and errors where training diverges."""

import logging
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from gratis import ranks
from gratis.errors import GratisError
from gratis.progress import Bar
from gratis.results import HeldOutImages, overfitted, pgd_fell
from gratis.results.held_out_images import FOLDER, IMAGES
from gratis.training.divergence import CatastrophicOverfitting, refuse_divergence
from gratis.training.metrics import JsonLinesLog, NoLog
from gratis.training.monitor import OverfittingMonitor
from gratis.training.position import Event
from gratis.training.trainer import Trainer

logger = logging.getLogger(__name__)


class TrainingLog:
    """Writes the lines of ``metrics.jsonl``.

    Attributes:
        monitor_seconds: the seconds of every run of the overfitting monitor by this process.
    """

    def __init__(self, trainer: Trainer, path: Path, monitor: OverfittingMonitor | None) -> None:
        """Open the log at ``path`` and drop the lines after the trainer's position."""
        self._trainer, self._monitor = trainer, monitor
        self._images = path.parent / FOLDER / IMAGES
        self.monitor_seconds: list[float] = []
        self._lines: JsonLinesLog | NoLog = NoLog()
        if ranks.is_first():
            self._lines = JsonLinesLog(path, trainer.position.metrics_bytes)

    def log_steps(self, progress_bar: Bar) -> None:
        """Write the means of the steps since the last such line, and show them beside the bar.

        Raises:
            Divergence: the loss has exploded or is not finite.
        """
        trainer = self._trainer
        self._refuse_divergence("step")
        line = self._position("step") | trainer.scheduled | trainer.averages["step"].read()
        self._lines.write(line)
        progress_bar.advance(0, f"epoch {trainer.epoch:.1f}  {self._describe(line)}")

    def log_epoch(self, epoch_before: float, progress_bar: Bar) -> bool:
        """Write the means of the epoch, with the held-out accuracies if the monitor is due.

        It is due every ``monitor_every_epochs`` epochs and at the end of training.

        Returns:
            Whether a checkpoint must be saved, because the monitor has found no overfitting and
            a later rollback goes back to here.

        Raises:
            Divergence: the loss has exploded or is not finite, or the monitor has found
                catastrophic overfitting and ``on_overfitting`` is ``rollback``.
            GratisError: the same, and ``on_overfitting`` is ``stop``.
        """
        trainer = self._trainer
        self._refuse_divergence("epoch")
        line = self._position("epoch") | trainer.averages["epoch"].read()
        every = trainer.settings.monitor_every_epochs
        due = trainer.finished or int(trainer.epoch) // every > int(epoch_before) // every
        if self._monitor is not None and due:
            started = time.monotonic()
            line["held_out"] = held_out = self._monitor(trainer.train_state.evaluated)
            self.monitor_seconds.append(time.monotonic() - started)
            self._show_images(self._monitor)
            self._act_on_overfitting(self._monitor, **held_out)
        self._lines.write(line)
        if trainer.finished:
            # The last step need not reach the planned passes exactly.
            progress_bar.resize(trainer.position.passes)
        progress_bar.line(self._describe_epoch(line))
        return due and trainer.settings.on_overfitting == "rollback"

    def log_event(self, event: Event) -> None:
        """Write an event that is among those of the position."""
        self._lines.write(asdict(event))

    def rewind(self) -> None:
        """Drop the lines after the trainer's position, after a rollback."""
        self._lines.rewind(self._trainer.position.metrics_bytes)

    def sync(self) -> None:
        """Flush all lines to the disk, and note the length of the file in the position.

        Raises:
            Divergence: the loss of the steps since the last line has exploded or is not finite.
        """
        self._refuse_divergence("step")
        self._trainer.position.metrics_bytes = self._lines.sync()

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _act_on_overfitting(
        self, monitor: OverfittingMonitor, clean: float, fgsm: float, pgd: float
    ) -> None:
        """Warn, stop or roll back, as ``on_overfitting`` says, after catastrophic overfitting."""
        trainer = self._trainer
        # A natural model is fooled by every attack: that is not overfitting.
        if not trainer.train_state.adversary.perturbs:
            return
        if not overfitted(clean, fgsm, pgd, monitor.images, monitor.guessing):
            return
        found = f"held-out FGSM accuracy {fgsm:.0%} but PGD {pgd:.0%}"
        if not pgd_fell(self._pgd_before(), pgd, monitor.images):
            logger.info(f"epoch {trainer.epoch:.1f}: not robust yet, {found}")
            return
        found = f"catastrophic overfitting, {found}"
        if trainer.settings.on_overfitting == "rollback":
            raise CatastrophicOverfitting(found)
        message = f"epoch {trainer.epoch:.1f}: {found}; lower epsilon or the step size"
        if trainer.settings.on_overfitting == "stop":
            raise GratisError(message)
        logger.warning(message)

    def _show_images(self, monitor: OverfittingMonitor) -> None:
        """Write the monitor's example images, if loggers wait for them."""
        shown = self._images.parent.is_dir() and len(monitor.examples[0])
        if not shown or not ranks.is_first():
            return
        clean, attacked = (
            (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
            for images in monitor.examples
        )
        HeldOutImages(self._trainer.position.steps, clean, attacked).save(self._images)

    def _describe(self, line: dict[str, Any]) -> str:
        """Return the means of a line of the log as text."""
        trainer = self._trainer
        terms = [f"{name} {line[name]:.3f}" for name in trainer.train_state.objective.names]
        parts = [f"accuracy {line['accuracy']:.0%}", *terms]
        if "epsilon" in trainer.scheduled:
            parts.append(f"epsilon {255 * trainer.scheduled['epsilon']:.1f}/255")
        if "replays" in trainer.scheduled:
            parts.append(f"replays {trainer.scheduled['replays']}")
        return "  ".join([*parts, f"{line['images_per_second']:.0f} images/s"])

    def _describe_epoch(self, line: dict[str, Any]) -> str:
        trainer, of = self._trainer, ""
        if math.isfinite(trainer.planned):
            of = f" of {trainer.planned / trainer.batches.image_count:.3g}"
        text = f"epoch {trainer.epoch:.3g}{of}  {self._describe(line)}"
        held_out = line.get("held_out", {})
        shown = [f"{name.upper()} {held_out[name]:.0%}" for name in ("fgsm", "pgd") if held_out]
        return f"{text}  held-out {' '.join(shown)}" if shown else text

    def _pgd_before(self) -> list[float]:
        """Return the held-out PGD accuracies so far, also those of earlier processes."""
        held_out = [line["held_out"] for line in self._lines.read("held_out")]
        found = [each.get("pgd") for each in held_out if isinstance(each, dict)]
        return ranks.of_first([pgd for pgd in found if isinstance(pgd, float)])

    def _refuse_divergence(self, kind: str) -> None:
        first = self._trainer.position.first_loss
        means = self._trainer.averages[kind].means()
        refuse_divergence(means, math.inf if first is None else first)

    def _position(self, kind: str) -> dict[str, Any]:
        position = self._trainer.position
        return {
            "kind": kind,
            "step": position.steps,
            "epoch": round(self._trainer.epoch, 4),
            "passes": round(position.passes),
        }
