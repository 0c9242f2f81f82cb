"""Memory against the images in the data set, the batch size and the replays; on a CPU.

Every point is a new process that opens the data set, reads every image once and makes eight steps
of free training with the narrow ResNet-18 at 32 px. The operating system provides three figures:

- peak: the largest resident set (``VmHWM``). It includes the memory-mapped images that have been
  read, although the system can drop them when other processes need memory;
- anonymous: the largest amount of private memory (``RssAnon``, sampled every 2 ms);
- file: the largest amount mapped from files, images and program (``RssFile``, sampled likewise).

``getrusage`` also gives a peak, but it starts from the peak of the parent process. The first round
decodes the images if no earlier run has, and does not count.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.base import Comparison, Conditions, Figures, Line, Side, ratio
from benchmarks.steps import recipe_of, trainer_of
from benchmarks.worker import Worker
from gratis.data import load
from gratis.recipe import Recipe

# The points of each curve and their overrides. The first one is the reference of the others.
CURVES = {
    "images": {f"{classes} classes": f"data.classes={classes}" for classes in (10, 20, 50)},
    "batch": {f"batches of {size}": f"train.batch_size={size}" for size in (32, 128, 512)},
    "replays": {f"m = {m}": f"adversary.free.replays={m}" for m in (1, 4, 8)},
}
STEPS = 8
KINDS = {"anonymous": "RssAnon", "file": "RssFile"}
GROWTH = "growth of anonymous memory / bytes of the added images"


def train(recipe: Recipe) -> Figures:
    """Read all images and make a few steps; return the number of images and their bytes."""
    # Otherwise the batches, and with them the images, go to a GPU.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    dataset = load(recipe.data)
    trainer = trainer_of(recipe, dataset)
    for _ in trainer.batches:
        pass
    while trainer.position.steps < STEPS:
        trainer.step()
    return {"images": len(dataset.train), "image bytes": dataset.train.images.nbytes}


def bytes_of(pid: int, counter: str) -> int:
    """Return a memory counter of a process in bytes, as Linux reports it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{counter}:"))
    return 1024 * int(line.split()[1])


def point_of(name: str, recipe: Recipe) -> Side:
    """Return the side whose turn is a new process that trains."""

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


def growth(figures: Figures) -> float:
    """Return the growth of anonymous memory with the images, as a share of their bytes."""
    first, *_, last = CURVES["images"]
    memory = figures[f"{last}: anonymous"] - figures[f"{first}: anonymous"]
    return memory / (figures[f"{last}: image bytes"] - figures[f"{first}: image bytes"])


def curve(name: str) -> Comparison:
    """Return the comparison of a curve's points."""
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
    growths = [Line(GROWTH, growth)] if name == "images" else []
    # Three short training runs.
    return Comparison("memory", name, "bytes, images", opened, ratios + growths, lambda turn: 10.0)


COMPARISONS = [curve(name) for name in CURVES]
