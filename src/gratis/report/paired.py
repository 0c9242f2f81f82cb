"""Two recipes on the same images: is the difference significant?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from gratis.errors import GratisError
from gratis.report.rows import WORST
from gratis.report.table import Cell, Table, TableRow, markdown_table
from gratis.results import METRICS
from gratis.results.statistics import mean_and_std, sign_flip

_COMPARED = (*METRICS, WORST)
# Which images one run classifies correctly: a boolean array (n,) for every metric.
Correct = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Paired:
    """The difference between two recipes in one metric.

    Attributes:
        metric: the metric.
        difference: the mean over seeds of the first accuracy minus the second, in points.
        std: its standard deviation over the seeds; ``None`` for one seed.
        seeds: the number of seeds.
        p: the p-value of the exact two-sided sign-flip test. An image counts once: by the number
            of seeds of the first recipe that are correct on it, minus those of the second. For
            one seed this is the exact McNemar test. It generalises to other images, not to other
            seeds.
    """

    metric: str
    difference: float
    std: float | None
    seeds: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """A row and the row that it builds on, by title, with the difference in each metric."""

    row: str
    base: str
    lines: Sequence[Paired]


def compare(
    a: Mapping[int, Correct], b: Mapping[int, Correct], metrics: Sequence[str] = _COMPARED
) -> list[Paired]:
    """Compare two recipes in each of the metrics that all their runs have.

    Args:
        a: the first recipe's runs, by seed.
        b: the second's. Seeds that only one of them has are left out.
        metrics: the metrics to compare.

    Raises:
        GratisError: no seed is in both, or the runs were measured on different images.
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
    mean, std = mean_and_std([100 * float(a.mean() - b.mean()) for a, b in pairs])
    # All seeds see the same images, so the pairs of one image are not independent.
    by_image = np.sum([a.astype(np.int64) - b for a, b in pairs], axis=0)
    return Paired(metric, mean, std if len(pairs) > 1 else None, len(pairs), sign_flip(by_image))


def paired_to_markdown(comparisons: Sequence[Comparison]) -> str:
    """Return a Markdown table with a row for each comparison, below a line that explains it."""
    used = {line.metric for comparison in comparisons for line in comparison.lines}
    metrics = [metric for metric in _COMPARED if metric in used]
    rows = []
    for comparison in comparisons:
        by_metric = {line.metric: _cell(line) for line in comparison.lines}
        cells = [by_metric.get(metric, Cell("n/a")) for metric in metrics]
        seeds = Cell(str(comparison.lines[0].seeds))
        rows.append(TableRow([Cell(comparison.row), Cell(comparison.base), seeds, *cells]))
    columns = [Cell(name) for name in ("row", "builds on", "seeds", *metrics)]
    return (
        "Each row minus the row that it builds on, on the same images, in points; ± is the "
        "standard deviation over the seeds, p the exact sign-flip test over the images, each with "
        "all its seeds (for one seed the McNemar test).\n\n"
        f"{markdown_table(Table(columns, rows, 2))}\n"
    )


def _cell(line: Paired) -> Cell:
    spread = "" if line.std is None else f"±{line.std:.1f}"
    p = Markup("p < 0.001") if line.p < 0.001 else f"p {line.p:.3f}"
    return Cell(f"{line.difference:+.1f}", spread, p)
