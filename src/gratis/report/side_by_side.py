"""The sample images of several runs beside each other, image by image."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gratis.report.gallery import Picture
from gratis.report.runs import Run

# More would not fit beside each other.
_MOST = 4


class SameImage(NamedTuple):
    """One validation image, by its number, and the attacked picture of it from each run."""

    label: str
    number: int
    pictures: Sequence[Picture]


class SideBySide(NamedTuple):
    """The same images under the attack of several runs.

    Attributes:
        titles: those of the runs.
        lines: the images that all of them show.
        counts: for each later run against the first: how many images both classify correctly
            under the strongest common attack, only the first, only this, and neither.
    """

    titles: Sequence[str]
    lines: Sequence[SameImage]
    counts: Sequence[tuple[int, int, int, int]]


def side_by_side(
    runs: Sequence[tuple[str, Run, Sequence[tuple[int, str, Sequence[Picture]]]]], metric: str
) -> SideBySide | None:
    """Return the images of runs beside each other; ``None`` if there is nothing to compare.

    Args:
        runs: the title, the run, and for each of its sample images the index, the label and the
            pictures.
        metric: the attack for the counts.
    """
    shown = [each for each in runs if _attacked_of(each[2])][:_MOST]
    if len(shown) < 2:
        return None
    attacked = [_attacked_of(images) for _, _, images in shown]
    labels = {index: label for index, label, _ in shown[0][2]}
    common = [index for index in attacked[0] if all(index in each for each in attacked)]
    lines = [SameImage(labels[i], i, [each[i] for each in attacked]) for i in common]
    if not lines:
        return None
    first = shown[0][1]
    counts = [_counts(first, run, metric) for _, run, _ in shown[1:]]
    return SideBySide([title for title, _, _ in shown], lines, [c for c in counts if c is not None])


def _attacked_of(images: Sequence[tuple[int, str, Sequence[Picture]]]) -> dict[int, Picture]:
    return {
        index: picture
        for index, _, pictures in images
        for picture in pictures
        if picture.kind == "adversarial"
    }


def _counts(a: Run, b: Run, metric: str) -> tuple[int, int, int, int] | None:
    """Return how many of the same images both, only a, only b and neither classify correctly."""
    one, other = a.measurement, b.measurement
    if not np.array_equal(one.index, other.index) or not (
        metric in one.correct and metric in other.correct
    ):
        return None
    x, y = one.correct[metric], other.correct[metric]
    both, only_a, only_b = (int(np.count_nonzero(each)) for each in (x & y, x & ~y, y & ~x))
    return both, only_a, only_b, len(x) - both - only_a - only_b
