"""The loop: draws batches, replays them, and stops when the planned passes are spent."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gratis.data import Batch, Batches
from gratis.errors import GratisError
from gratis.perturb import Augment
from gratis.progress import Bar, bar, say
from gratis.results import collapsed
from gratis.seeds import generator
from gratis.train import checkpoint
from gratis.train.metrics import Averages, Diary
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
        self._averages = {"step": Averages(), "epoch": Averages()}

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
        if path.exists():
            self.position, averages = checkpoint.load(path, self.learner, identity)
            for name, part in self._averages.items():
                part.load_state_dict(checkpoint.stripped(name, averages))
        diary = Diary(folder / "metrics.jsonl", self.position.metrics_bytes)
        try:
            self._train(diary, stopping, watch, lambda: self._save(path, identity, diary))
        finally:
            diary.close()
        return self.finished

    def _train(
        self,
        diary: Diary,
        stopping: Callable[[], bool],
        watch: Watch | None,
        save: Callable[[], None],
    ) -> None:
        self.learner.module.train()
        saved = time.monotonic()
        with bar("training", self.planned) as shown:
            shown.advance(self.position.passes)
            while not self.finished and not stopping():
                started, before = time.monotonic(), self.epoch
                self._train_batch(diary, shown)
                self.position.seconds += time.monotonic() - started
                if int(self.epoch) > int(before) or self.finished:
                    self._end_epoch(diary, watch, before)
                if time.monotonic() - saved > 60 * self.settings.checkpoint_minutes:
                    save()
                    saved = time.monotonic()
        save()

    def _train_batch(self, diary: Diary, shown: Bar) -> None:
        """Draw a batch and train on all its replays."""
        replays = self.learner.adversary.replays(self.progress)
        batch = self._draw()
        passes = self._cost * len(batch)
        for _ in range(replays):
            if self.finished:
                break
            t = self.progress
            rate = self._set_learning_rate(t)
            values = train_step(self.learner, batch, t, self.position.steps)
            for part in self._averages.values():
                part.add(values, passes, len(batch))
            self.position.steps += 1
            self.position.passes += passes
            shown.advance(passes)
            # At the end too: the last steps belong in the diary, and must have been finite.
            if self.position.steps % self.settings.log_every == 0 or self.finished:
                in_force = {**self.learner.adversary.describe(t), "learning_rate": rate}
                if "replays" in in_force:
                    in_force["replays"] = replays  # as read when the batch was drawn
                self._log(diary, shown, in_force)
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

    def _log(self, diary: Diary, shown: Bar, in_force: dict[str, float]) -> None:
        self._refuse_divergence()
        line = self._line("step") | in_force | self._averages["step"].read()
        diary.write(line)
        terms = [f"{name} {line[name]:.3f}" for name in self.learner.objective.names]
        note = f"epoch {self.epoch:.1f}  {'  '.join(terms)}  accuracy {line['accuracy']:.0%}"
        if "epsilon" in line:
            note += f"  epsilon {255 * line['epsilon']:.1f}/255"
        if "replays" in line:
            note += f"  replays {line['replays']}"
        shown.advance(0, f"{note}  {line['images_per_second']:.0f} images/s")

    def _end_epoch(self, diary: Diary, watch: Watch | None, before: float) -> None:
        """Write the epoch's line, with the held-out accuracies where the watch is due.

        It is due every ``watch_every`` epochs and at the end of training.
        """
        self._refuse_divergence()
        line = self._line("epoch") | self._averages["epoch"].read()
        every = self.settings.watch_every
        # By whole epochs: only at their ends is there a line to look for.
        due = self.finished or int(self.epoch) // every > int(before) // every
        if watch is not None and due:
            line["held_out"] = seen = watch(self.learner.evaluated)
            self._warn(seen["fgsm"], seen["pgd"])
        diary.write(line)

    def _line(self, kind: str) -> dict[str, Any]:
        done = self.position
        return {
            "kind": kind,
            "step": done.steps,
            "epoch": round(self.epoch, 4),
            "passes": round(done.passes),
        }

    def _warn(self, fgsm: float, pgd: float) -> None:
        # A natural model falls to every attack: no news.
        attacked = "epsilon" in self.learner.adversary.describe(self.progress)
        if attacked and collapsed(fgsm, pgd):
            say(
                f"epoch {self.epoch:.1f}: catastrophic overfitting, held-out FGSM accuracy "
                f"{fgsm:.0%} but PGD {pgd:.0%}; lower epsilon or the step size"
            )

    def _refuse_divergence(self) -> None:
        if not self._averages["step"].finite():
            raise GratisError(
                f"the loss is no longer finite after epoch {self.epoch:.1f}; lower "
                "train.learning_rate and train into a new folder"
            )

    def _save(self, path: Path, identity: str, diary: Diary) -> None:
        # Never over a good checkpoint with one that cannot go on.
        self._refuse_divergence()
        self.position.metrics_bytes = diary.bytes
        self.position.finished = self.finished
        averages = {
            f"{name}.{key}": value
            for name, part in self._averages.items()
            for key, value in part.state_dict().items()
        }
        checkpoint.save(path, self.learner, self.position, averages, identity)
