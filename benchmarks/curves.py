"""The time of a pass against replays, schedule, views, batch size and data set.

Every point is free training of the narrow ResNet-18 at 32 px with m = 4, except for what its curve
varies. All points of a curve train in one process, in turn. The curve against the number of images
measures an epoch, which has as many passes as there are training images, and fits a straight line.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from benchmarks.base import Comparison, Conditions, Figures, Line, Side, ratio
from benchmarks.steps import for_seconds, recipe_of, seconds_per_unit, trainer_of
from gratis.run.loading import load_once
from gratis.training.trainer import Trainer

# A recipe and its overrides.
Point = tuple[str, Sequence[str]]
LINEAR = "adversary.free.epsilon={linear: {start: 0, stop: 8/255}}"
# The points of each curve. The first one is the reference of the others.
CURVES: dict[str, dict[str, Point]] = {
    "replays": {f"m = {m}": ("free", [f"adversary.free.replays={m}"]) for m in (1, 2, 4, 8)},
    "epsilon": {"constant epsilon": ("free", []), "linear epsilon": ("free", [LINEAR])},
    "views": {"one view": ("free", []), "two views": ("contrastive-free", [])},
    "batch": {
        f"batches of {size}": ("free", [f"train.batch_size={size}"])
        for size in (32, 64, 128, 256, 512)
    },
}
CLASSES = (2, 5, 10, 20)


def images_in(classes: int) -> str:
    """Return the name of the figure: training images of the first classes."""
    return f"{classes} classes: images"


def seconds_with(classes: int) -> str:
    """Return the name of the figure: seconds of an epoch of the first classes."""
    return f"{classes} classes: seconds"


def straight_line(figures: Figures) -> tuple[float, float]:
    """Return R2 of the straight line fitted to the epochs, and its intercept.

    The intercept is given as a share of the longest epoch.
    """
    images = np.array([figures[images_in(classes)] for classes in CLASSES])
    seconds = np.array([figures[seconds_with(classes)] for classes in CLASSES])
    slope, intercept = np.polyfit(images, seconds, 1)
    left = np.square(seconds - slope * images - intercept).sum()
    r2 = 1 - left / np.square(seconds - seconds.mean()).sum()
    return float(r2), float(intercept / seconds.max())


def seconds_an_image(figures: Figures) -> float:
    """Return the time of an image in the largest data set, over that in the smallest."""
    least, most = (
        figures[seconds_with(classes)] / figures[images_in(classes)]
        for classes in (CLASSES[0], CLASSES[-1])
    )
    return most / least


def epoch_of(trainer: Trainer, classes: int) -> Side:
    """Return the side whose turn is one epoch."""
    images = trainer.batches.image_count

    def epoch() -> float:
        passes = 0.0
        while passes < images:
            passes += trainer.step()
        return passes

    return lambda: {
        images_in(classes): images,
        seconds_with(classes): images * seconds_per_unit(epoch),
    }


def curve(name: str) -> Comparison:
    """Return the comparison of a curve's points."""
    points = CURVES[name]
    first, *others = points

    @contextmanager
    def opened(conditions: Conditions) -> Iterator[list[Side]]:
        sides = []
        for point, (recipe, changes) in points.items():
            settings = recipe_of(recipe, changes, conditions)
            trainer = trainer_of(settings, load_once(settings.data))
            sides.append(for_seconds(point, trainer.step, conditions.seconds))
        yield sides

    return Comparison(
        "curves",
        name,
        "seconds a pass",
        opened,
        [ratio(point, first) for point in others],
        lambda turn: len(points) * turn,
    )


@contextmanager
def _epochs(conditions: Conditions) -> Iterator[list[Side]]:
    sides = []
    for classes in CLASSES:
        settings = recipe_of("free", [f"data.classes={classes}"], conditions)
        sides.append(epoch_of(trainer_of(settings, load_once(settings.data)), classes))
    yield sides


COMPARISONS = [
    *(curve(name) for name in CURVES),
    Comparison(
        "curves",
        "images",
        "seconds an epoch, images",
        _epochs,
        [
            Line("R2 of a straight line", lambda figures: straight_line(figures)[0]),
            Line("intercept / the longest epoch", lambda figures: straight_line(figures)[1]),
            Line(f"an image, {CLASSES[-1]} / {CLASSES[0]} classes", seconds_an_image),
        ],
        # About the time of an epoch of 10,000 images on one thread.
        lambda turn: 20.0,
    ),
]
