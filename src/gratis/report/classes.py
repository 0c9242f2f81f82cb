"""Accuracy class by class: which classes a model defends best and worst."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gratis.report.rows import Cell
from gratis.report.runs import Run
from gratis.results import SampleImages

_ALL, _ENDS = 12, 6


class ClassAccuracy(NamedTuple):
    """One class by name: how many of its images were measured, and the accuracies, in percent."""

    name: str
    images: int
    clean: Cell
    attacked: Cell


class Ranking(NamedTuple):
    """Some classes under a heading, the most robust first."""

    heading: str
    classes: Sequence[ClassAccuracy]


def rankings(run: Run, samples: SampleImages, metric: str) -> list[Ranking]:
    """Return a run's classes by their accuracy in ``metric``: all, or of many both ends."""
    ranked = _ranked(run, samples, metric)
    if len(ranked) <= _ALL:
        return [Ranking("All classes, the most robust first", ranked)]
    return [
        Ranking(f"The {_ENDS} most robust of {len(ranked)} classes", ranked[:_ENDS]),
        Ranking(f"The {_ENDS} least robust", ranked[-_ENDS:]),
    ]


def _ranked(run: Run, samples: SampleImages, metric: str) -> list[ClassAccuracy]:
    labels = samples.labels[run.measurement.index]
    accuracies = []
    for number in np.unique(labels).tolist():
        of_class = labels == number
        shares = [float(run.measurement.correct[m][of_class].mean()) for m in ("clean", metric)]
        images = int(np.count_nonzero(of_class))
        clean, attacked = (Cell.of(share, images) for share in shares)
        accuracies.append(ClassAccuracy(samples.classes[number], images, clean, attacked))
    return sorted(accuracies, key=lambda c: (c.attacked.value, c.clean.value), reverse=True)
