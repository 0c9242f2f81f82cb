"""The accuracy by class, compared with counts by hand."""

from dataclasses import dataclass

import numpy as np

from gratis.report.gallery import class_rankings
from gratis.results import Measurement, SampleImages, wilson


@dataclass
class Measured:
    measurement: Measurement


def test_classes_are_ranked_by_accuracy_under_attack():
    # Validation images 2 to 7 of ten; class 3 is not among them.
    labels = np.array([3, 3, 0, 1, 2, 0, 1, 2, 3, 3])
    right = {"clean": [1, 1, 1, 1, 1, 0], "pgd": [1, 0, 0, 1, 1, 0]}
    index = np.arange(2, 8)
    correct = {metric: np.array(outcomes, dtype=bool) for metric, outcomes in right.items()}
    samples = SampleImages(("a", "b", "c", "d"), labels, None, [])
    (ranking,) = class_rankings(Measured(Measurement(index, correct)), samples, "pgd")
    assert [[cell.text for cell in row.cells] for row in ranking.table.rows] == [
        ["a", "2", "100", "100"],
        ["b", "2", "100", "50"],
        ["c", "2", "50", "0"],
    ]
    assert ranking.bars == [(100, 100), (100, 50), (50, 0)]
    low, high = wilson(1, 2)
    assert ranking.table.rows[0].cells[3].margin == f"[{100 * low:.0f}, {100 * high:.0f}]"


def test_of_many_classes_both_ends_are_shown():
    labels = np.repeat(np.arange(20), 20)
    pgd = np.concatenate([np.arange(20) < number for number in range(20)])
    every = Measurement(np.arange(400), {"clean": np.ones(400, dtype=bool), "pgd": pgd})
    samples = SampleImages([str(number) for number in range(20)], labels, None, [])
    most, least = class_rankings(Measured(every), samples, "pgd")
    assert [row.cells[0].text for row in most.table.rows] == ["19", "18", "17", "16", "15", "14"]
    assert [row.cells[0].text for row in least.table.rows] == ["5", "4", "3", "2", "1", "0"]
