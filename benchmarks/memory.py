"""What memory depends on: the images in the data set, the batch, the replays; on a CPU.

Every point is a process of its own, which opens the data set, reads every image once and makes
eight steps of free training with the narrow ResNet-18 at 32 px. Three figures are told of it,
which the system counts:

- peak: the most that lay in memory at once (``VmHWM``). The memory-mapped images are in it once
  they have been read, though the system may drop them when others want the room;
- anonymous: the most that was its own and could not be dropped (``RssAnon``, looked at every two
  milliseconds);
- file: the most that was mapped from files, images and program (``RssFile``, likewise).

``getrusage`` would tell the same peak, but begins with that of the process that started this one.
The first round decodes the images where no earlier run has, and does not count.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.base import Conditions, Contest, Figures, Line, Side, ratio
from benchmarks.steps import recipe_of, trainer_of
from benchmarks.worker import Worker
from gratis.data import load
from gratis.recipe import Recipe

# Each curve's points and what they change; the other points stand beside the first.
CURVES = {
    "images": {f"{classes} classes": f"data.classes={classes}" for classes in (10, 20, 50)},
    "batch": {f"batches of {size}": f"train.batch_size={size}" for size in (32, 128, 512)},
    "replays": {f"m = {m}": f"adversary.free.replays={m}" for m in (1, 4, 8)},
}
STEPS = 8
KINDS = {"anonymous": "RssAnon", "file": "RssFile"}
GAIN = "anonymous bytes gained / bytes of the images added"


def train(recipe: Recipe) -> Figures:
    """Read all images and train a little; return how many images there are, and their bytes."""
    # Batches would go to a GPU, and the images with them.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    dataset = load(recipe.data)
    trainer = trainer_of(recipe, dataset)
    for _ in trainer.batches:
        pass
    while trainer.position.steps < STEPS:
        trainer.step()
    return {"images": len(dataset.train), "image bytes": dataset.train.images.nbytes}


def bytes_of(pid: int, counter: str) -> int:
    """Return what Linux counts of a process in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{counter}:"))
    return 1024 * int(line.split()[1])


def point_of(name: str, recipe: Recipe) -> Side:
    """Return the side whose turn is a process that trains."""

    def turn() -> Figures:
        most = dict.fromkeys(KINDS, 0)
        with Worker(lambda: partial(train, recipe)) as worker:

            def monitor() -> None:
                for kind, counter in KINDS.items():
                    most[kind] = max(most[kind], bytes_of(worker.pid, counter))

            counts = worker.turn(monitor)
            found = {"peak": bytes_of(worker.pid, "VmHWM")} | most | counts
        return {f"{name}: {what}": value for what, value in found.items()}

    return turn


def gained(figures: Figures) -> float:
    """Return how far anonymous memory grows with the images, as a share of their bytes."""
    first, *_, last = CURVES["images"]
    memory = figures[f"{last}: anonymous"] - figures[f"{first}: anonymous"]
    return memory / (figures[f"{last}: image bytes"] - figures[f"{first}: image bytes"])


def curve(name: str) -> Contest:
    """Return the contest of a curve's points."""
    points = CURVES[name]
    first, *others = points

    @contextmanager
    def opened(conditions: Conditions) -> Iterator[list[Side]]:
        recipes = {at: recipe_of("free", [change], conditions) for at, change in points.items()}
        yield [point_of(at, recipe) for at, recipe in recipes.items()]

    ratios = [
        ratio(f"{at}: {kind}", f"{first}: {kind}", name=f"{kind}, {at} / {first}")
        for kind in ("peak", *KINDS)
        for at in others
    ]
    gain = [Line(GAIN, gained)] if name == "images" else []
    # Three short trainings.
    return Contest("memory", name, "bytes, images", opened, ratios + gain, lambda turn: 10.0)


CONTESTS = [curve(name) for name in CURVES]
