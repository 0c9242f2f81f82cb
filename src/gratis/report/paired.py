"""Two recipes on the same images: is the difference beyond that of other seeds or images?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from gratis.errors import GratisError
from gratis.report.rows import WORST
from gratis.report.table import Cell, Table, TableRow, markdown_table
from gratis.results import METRICS
from gratis.results.statistics import mcnemar, mean_and_std, paired_t_test

# What the numbers mean, by whether there are several seeds.
_EXPLAINED = {
    True: "Several seeds: ± is the standard deviation over the seeds, the brackets are the 95% "
    "interval of the mean, p is the paired t-test over the seeds: it is about the two recipes, on "
    "these images.",
    False: "One seed: no p. A test over the images is about one pair of models, not about the two "
    "recipes: other seeds can differ by more. `gratis compare RUN RUN` makes that test.",
}
_COMPARED = (*METRICS, WORST)
# Which images one run classifies correctly: a boolean array (n,) for every metric.
Correct = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Paired:
    """The difference between two recipes in one metric.

    Attributes:
        metric: the metric.
        difference: the mean over seeds of the first accuracy minus the second, in points.
        seeds: the number of seeds.
        std: its standard deviation over the seeds; ``None`` for one seed.
        low: the lower bound of its 95% interval by the t-test; ``None`` for one seed.
        high: the upper bound.
        p: for several seeds the p-value of the paired t-test over them. It counts seeds as
            random, and the images as given; ``None`` if the difference is the same for all seeds.
            For one seed the p-value of the exact McNemar test over the images. It is about this
            pair of models, and says nothing about other seeds of the two recipes.
    """

    metric: str
    difference: float
    seeds: int
    std: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A row and the row that it is compared with, by title, with the difference in each metric."""

    row: str
    base: str
    lines: Sequence[Paired]


def compare(
    a: Mapping[int, Correct], b: Mapping[int, Correct], metrics: Sequence[str] = _COMPARED
) -> list[Paired]:
    """Compare two recipes in each of the metrics that all their runs have.

    ``a`` and ``b`` are their runs by seed. Seeds that only one of them has are left out.
    """
    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        raise GratisError("no seed was run for both recipes; train both with the same seeds")
    runs = [run for seed in seeds for run in (a[seed], b[seed])]
    if len({len(correct) for run in runs for correct in run.values()}) > 1:
        raise GratisError("the runs were measured on different images; evaluate them on the same")
    shared = [metric for metric in metrics if all(metric in run for run in runs)]
    return [_paired(metric, [(a[s][metric], b[s][metric]) for s in seeds]) for metric in shared]


def _paired(metric: str, pairs: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> Paired:
    if len(pairs) == 1:
        ((a, b),) = pairs
        return Paired(metric, 100 * float(a.mean() - b.mean()), 1, p=mcnemar(a, b))
    return over_seeds(metric, [100 * float(a.mean() - b.mean()) for a, b in pairs])


def over_seeds(metric: str, differences: Sequence[float]) -> Paired:
    """Return the comparison of two recipes by their differences in points, one for each seed.

    Raises:
        ValueError: there are fewer than two seeds.
    """
    mean, std = mean_and_std(differences)
    low, high, p = paired_t_test(differences)
    return Paired(metric, mean, len(differences), std, low, high, p)


def paired_to_markdown(comparisons: Sequence[Comparison]) -> str:
    """Return a Markdown table with a row for each comparison, below a line that explains it.

    Without comparisons it is a line that says so.
    """
    if not comparisons:
        return "There is one row, and none to compare it with.\n"
    used = {line.metric for comparison in comparisons for line in comparison.lines}
    metrics = [metric for metric in _COMPARED if metric in used]
    rows = []
    for comparison in comparisons:
        by_metric = {line.metric: paired_cell(line) for line in comparison.lines}
        cells = [by_metric.get(metric, Cell("n/a")) for metric in metrics]
        seeds = Cell(str(comparison.lines[0].seeds))
        rows.append(TableRow([Cell(comparison.row), Cell(comparison.base), seeds, *cells]))
    columns = [Cell(name) for name in ("row", "compared with", "seeds", *metrics)]
    several = {line.seeds > 1 for comparison in comparisons for line in comparison.lines}
    explained = explain(several, "Each row minus the row that it is compared with")
    return f"{explained}\n\n{markdown_table(Table(columns, rows, 2))}\n"


def explain(several: Collection[bool], which: str) -> str:
    """Return the line above a table of comparisons: what ±, the brackets and p mean."""
    texts = [text for number, text in _EXPLAINED.items() if number in several]
    return " ".join([f"{which}, on the same images, in points.", *texts])


def as_p(p: float | None) -> str:
    """Return a p-value as text; empty if there is none."""
    if p is None:
        return ""
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def paired_cell(line: Paired) -> Cell:
    """Return a cell with the difference and, for several seeds, spread, interval and p-value."""
    if line.std is None:
        return Cell(f"{line.difference:+.1f}")
    # Numbers only, so that there is nothing to escape.
    margin = Markup(f"±{line.std:.1f} [{line.low:+.1f}, {line.high:+.1f}]")  # noqa: S704
    return Cell(f"{line.difference:+.1f}", margin, Markup(as_p(line.p)))  # noqa: S704
