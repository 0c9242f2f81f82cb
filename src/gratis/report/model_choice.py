"""Which model to choose: the Pareto frontier, models that only guess, classes never right."""

from collections.abc import Sequence
from textwrap import shorten

import numpy as np

from gratis.report.rows import DOUBTFUL, Row
from gratis.report.runs import Run
from gratis.results.statistics import wilson

# The fewest images of a class from which "never right" says something.
_IMAGES = 5
# How many names a sentence lists.
_NAMED = 10
# Of more models on the front, so many at each end are named.
_ENDS = 3
# The characters of a name in a sentence; the table has all.
_LONG = 80


def choices(rows: Sequence[Row], runs: Sequence[Run], metric: str, attack: str) -> list[str]:
    """Return sentences on which of several models to choose, and on what to beware of."""
    found = [_front(rows, metric, attack)] if len(rows) > 1 else []
    return [*found, _guessing(rows), *_never_right(runs)]


def pareto_front(rows: Sequence[Row], metric: str) -> list[Row]:
    """Return the rows that no other beats, the most accurate without an attack first.

    A row beats another if it is at least as accurate with and without the attack, and more
    accurate in one of them.
    """
    points = {id(row): (row.value("clean"), row.value(metric)) for row in rows}
    return sorted(
        (row for row in rows if not any(_beats(points[id(o)], points[id(row)]) for o in rows)),
        key=lambda row: points[id(row)],
        reverse=True,
    )


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] >= other[0] and one[1] >= other[1]


def _front(rows: Sequence[Row], metric: str, attack: str) -> str:
    named = [
        f"“{shorten(row.first.title, _LONG, placeholder=' …')}” "
        f"({row.value('clean'):.1f}% clean, {row.value(metric):.1f}% "
        f"attacked{', failed sanity checks' if DOUBTFUL in row.mark else ''})"
        for row in pareto_front(rows, metric)
    ]
    if len(named) == 1:
        return f"Choose {named[0]}: no other model is better without an attack or under {attack}."
    if len(named) > 2 * _ENDS:
        # The chart and its list name all.
        between = f"{len(named) - 2 * _ENDS} others between them"
        named = [*named[:_ENDS], between, *named[-_ENDS:]]
    return (
        f"No model is better than these both without an attack and under {attack}: "
        f"{', '.join(named)}. The first suits images that nobody attacks, the last attacked ones."
    )


def _guessing(rows: Sequence[Row]) -> str:
    classes = rows[0].first.classes
    text = f"Guessing one of the {classes} classes is right for {100 / classes:.1f}% of the images"
    weak = [f"“{row.first.title}”" for row in rows if _is_guess(row)]
    if not weak:
        return f"{text}; every model is clearly better without an attack."
    return f"{text}, and not clearly worse than {_few(weak)} without an attack."


def _is_guess(row: Row) -> bool:
    return all(wilson(run.clean, run.n)[0] <= 1 / run.classes for run in row.runs)


def _never_right(runs: Sequence[Run]) -> list[str]:
    """Return a sentence for each run that is wrong on all images of some class."""
    sentences = []
    for run in runs:
        if run.sample_images is None:
            continue
        labels = run.sample_images.labels[run.measurement.index]
        right = run.measurement.correct["clean"]
        numbers, counts = np.unique(labels, return_counts=True)
        never = [
            run.sample_images.classes[number]
            for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
            if count >= _IMAGES and not right[labels == number].any()
        ]
        if never:
            seed = f" (seed {run.results.seed})" if len(runs) > 1 else ""
            sentences.append(
                f"“{run.results.title}”{seed} is wrong on every image of {len(never)} of "
                f"{len(numbers)} classes, without an attack: {_few(never)}."
            )
    return sentences


def _few(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])
