"""The loop: draws batches, replays them, and stops when the planned passes are spent."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gratis.data import Batch, Batches
from gratis.perturb import Augment
from gratis.progress import Bar, bar, say
from gratis.results import collapsed
from gratis.seeds import generator
from gratis.train import checkpoint
from gratis.train.metrics import Metrics
from gratis.train.settings import TrainSettings
from gratis.train.step import Learner, train_step
from gratis.train.watch import Watch


class Trainer:
    """One training run, resumable at every batch."""

    def __init__(
        self,
        learner: Learner,
        batches: Batches,
        augment: Augment | None,
        settings: TrainSettings,
        passes_per_image: float = 1.0,
    ) -> None:
        """Plan the run; ``passes_per_image`` is the model's, with its denoiser."""
        self.learner, self.batches, self.settings = learner, batches, settings
        self._augment = augment
        self._cost = passes_per_image * learner.adversary.passes() * learner.objective.views
        units = self._cost if settings.count == "images" else 1.0
        self.planned = settings.epochs * batches.image_count * units
        self.position = checkpoint.Position(images=batches.image_count)

    @property
    def progress(self) -> float:
        """Passes done / passes planned, in [0, 1]."""
        return min(1.0, self.position.passes / self.planned)

    @property
    def epoch(self) -> float:
        """Passes done / training images."""
        return self.position.passes / self.batches.image_count

    @property
    def finished(self) -> bool:
        """Whether one more replay would end further from the planned passes than this."""
        return self.planned - self.position.passes < self._cost * self.batches.largest / 2

    def run(
        self,
        folder: Path,
        identity: str,
        stopping: Callable[[], bool] = lambda: False,
        watch: Watch | None = None,
    ) -> bool:
        """Train to the end, or until ``stopping()`` says so at the next batch.

        Writes ``metrics.jsonl`` and ``checkpoint.safetensors`` into ``folder``, and goes on from
        the checkpoint if there is one. Returns whether the run is finished.

        Raises:
            GratisError: the folder cannot be written, its checkpoint belongs to another run, or
                the loss is no longer finite.
        """
        path = folder / "checkpoint.safetensors"
        metrics = Metrics(folder / "metrics.jsonl")
        if path.exists():
            self.position, sums = checkpoint.load(path, self.learner, identity)
            metrics.load_state_dict(sums)
        metrics.open(self.position.metrics_bytes)
        try:
            self._train(path, identity, metrics, stopping, watch)
        finally:
            metrics.close()
        return self.finished

    def _train(
        self,
        path: Path,
        identity: str,
        metrics: Metrics,
        stopping: Callable[[], bool],
        watch: Watch | None,
    ) -> None:
        self.learner.module.train()
        clock = saved = time.monotonic()
        with bar("training", self.planned) as shown:
            shown.advance(self.position.passes)
            while not self.finished and not stopping():
                before = self.epoch
                self._train_batch(metrics, shown)
                if watch is not None and self._passed(before, self.settings.watch_every):
                    self._look(watch, metrics)
                now = time.monotonic()
                self.position.seconds += now - clock
                clock = now
                if now - saved > 60 * self.settings.checkpoint_minutes:
                    self._save(path, identity, metrics)
                    saved = now
        self._save(path, identity, metrics)

    def _train_batch(self, metrics: Metrics, shown: Bar) -> None:
        """Draw a batch and train on all its replays."""
        replays = self.learner.adversary.replays(self.progress)
        batch = self._draw()
        passes = self._cost * len(batch.labels)
        for _ in range(replays):
            if self.finished:
                break
            t = self.progress
            rate = self._set_learning_rate(t)
            metrics.add(train_step(self.learner, batch, t, self.position.steps), passes)
            self.position.steps += 1
            self.position.passes += passes
            shown.advance(passes)
            # At the end too: the last steps belong in the diary, and must have been finite.
            if self.position.steps % self.settings.log_every == 0 or self.finished:
                self._log(metrics, shown, t, rate)
        self.position.batches += 1

    def _draw(self) -> Batch:
        """Return the next batch with its views, drawn once for all replays."""
        batch = self.batches[self.position.batches]
        views = self.learner.objective.views
        if self._augment is not None:
            source = generator(
                batch.images.device, self.learner.seed, "augment", self.position.batches
            )
            batch.views, batch.maps = self._augment(batch.images, source, views)
        elif views > 1:
            batch.views = batch.images.repeat(views, 1, 1, 1)
        return batch

    def _set_learning_rate(self, t: float) -> float:
        rate = self.settings.learning_rate(t)
        for group in self.learner.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _log(self, metrics: Metrics, shown: Bar, t: float, rate: float) -> None:
        line: dict[str, Any] = {
            "kind": "step",
            "step": self.position.steps,
            "epoch": round(self.epoch, 4),
            "passes": round(self.position.passes),
            "learning_rate": rate,
            **self.learner.adversary.describe(t),
            **metrics.averages(),
        }
        metrics.write(line)
        note = f"epoch {self.epoch:.1f}  loss {line['loss']:.3f}  acc {line['accuracy']:.0%}"
        if "epsilon" in line:
            note += f"  epsilon {255 * line['epsilon']:.1f}/255"
        if "replays" in line:
            note += f"  replays {line['replays']}"
        shown.advance(0, f"{note}  {line['passes_per_second']:.0f} passes/s")

    def _passed(self, before: float, every: float) -> bool:
        """Whether the last batch passed a multiple of ``every`` epochs."""
        return self.epoch // every > before // every

    def _look(self, watch: Watch, metrics: Metrics) -> None:
        seen = watch(self.learner.evaluated)
        metrics.write({"kind": "watch", "epoch": round(self.epoch, 4), **seen})
        # A natural model falls to every attack: no news.
        attacked = "epsilon" in self.learner.adversary.describe(self.progress)
        if attacked and collapsed(seen["fgsm"], seen["pgd"]):
            say(
                f"epoch {self.epoch:.1f}: catastrophic overfitting, held-out FGSM accuracy "
                f"{seen['fgsm']:.0%} but PGD {seen['pgd']:.0%}; lower epsilon or the step size"
            )

    def _save(self, path: Path, identity: str, metrics: Metrics) -> None:
        self.position.metrics_bytes = metrics.bytes
        checkpoint.save(path, self.learner, self.position, metrics.state_dict(), identity)
