"""The class tables against counting by hand."""

from dataclasses import dataclass

import numpy as np
import pytest

from gratis.report.classes import rankings
from gratis.results import Measurement, SampleImages, wilson


@dataclass
class Measured:
    measurement: Measurement


def test_classes_are_ranked_by_accuracy_under_attack():
    # Validation images 2 to 7 of ten; class 3 has none among them.
    labels = np.array([3, 3, 0, 1, 2, 0, 1, 2, 3, 3])
    right = {"clean": [1, 1, 1, 1, 1, 0], "pgd": [1, 0, 0, 1, 1, 0]}
    index = np.arange(2, 8)
    correct = {metric: np.array(verdicts, dtype=bool) for metric, verdicts in right.items()}
    samples = SampleImages(("a", "b", "c", "d"), labels, None, [])
    (ranking,) = rankings(Measured(Measurement(index, correct)), samples, "pgd")
    assert [(c.name, c.images, c.clean.value, c.attacked.value) for c in ranking.classes] == [
        ("a", 2, 100.0, 100.0),
        ("b", 2, 100.0, 50.0),
        ("c", 2, 50.0, 0.0),
    ]
    best = ranking.classes[0].attacked
    assert (best.low, best.high) == pytest.approx([100 * end for end in wilson(1, 2)])


def test_of_many_classes_both_ends_are_shown():
    labels = np.repeat(np.arange(20), 20)
    pgd = np.concatenate([np.arange(20) < number for number in range(20)])
    every = Measurement(np.arange(400), {"clean": np.ones(400, dtype=bool), "pgd": pgd})
    samples = SampleImages([str(number) for number in range(20)], labels, None, [])
    most, least = rankings(Measured(every), samples, "pgd")
    assert [c.name for c in most.classes] == ["19", "18", "17", "16", "15", "14"]
    assert [c.name for c in least.classes] == ["5", "4", "3", "2", "1", "0"]
