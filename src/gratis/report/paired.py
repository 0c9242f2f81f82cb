"""Two recipes on the same images: is the difference more than chance?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gratis.errors import GratisError
from gratis.report.markup import plain
from gratis.report.rows import WORST
from gratis.results import METRICS
from gratis.results.statistics import mean_and_std, sign_flip

_COMPARED = (*METRICS, WORST)
# Per-image correctness of one run: a boolean array (n,) for every metric.
Correct = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Paired:
    """The difference between two recipes in one metric.

    ``difference`` is the mean over seeds of the first accuracy less the second, in points, and
    ``std`` its standard deviation over the seeds (``None`` for one seed). ``p`` is the exact
    two-sided sign-flip test, where an image counts once: by the number of seeds of the first
    recipe that get it right, less those of the second. For one seed that is the exact McNemar
    test. It speaks for these trained models on other images, ``std`` for other seeds.
    """

    metric: str
    difference: float
    std: float | None
    seeds: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """A row beside the one that it builds on, by title, with a line for each metric."""

    row: str
    base: str
    lines: Sequence[Paired]


def compare(
    a: Mapping[int, Correct], b: Mapping[int, Correct], metrics: Sequence[str] = _COMPARED
) -> list[Paired]:
    """Compare two recipes by every one of some metrics that all their runs have.

    Args:
        a: the first recipe's runs, by seed.
        b: the second's. Seeds that only one of them has are left out.
        metrics: the metrics to compare them by.

    Raises:
        GratisError: no seed is in both, or the runs were measured on different images.
    """
    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        raise GratisError("no seed was run for both recipes; train both with the same seeds")
    runs = [run for seed in seeds for run in (a[seed], b[seed])]
    if len({len(correct) for run in runs for correct in run.values()}) > 1:
        raise GratisError("the runs were measured on different images; evaluate them again alike")
    shared = [metric for metric in metrics if all(metric in run for run in runs)]
    return [_paired(metric, [(a[s][metric], b[s][metric]) for s in seeds]) for metric in shared]


def _paired(metric: str, pairs: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> Paired:
    mean, std = mean_and_std([100 * float(a.mean() - b.mean()) for a, b in pairs])
    # The seeds see the same images, so that an image's pairs are no independent evidence.
    by_image = np.sum([a.astype(np.int64) - b for a, b in pairs], axis=0)
    return Paired(metric, mean, std if len(pairs) > 1 else None, len(pairs), sign_flip(by_image))


def paired_to_markdown(comparisons: Sequence[Comparison]) -> str:
    """Return a Markdown table, a line a comparison, below a line that explains it."""
    used = {line.metric for comparison in comparisons for line in comparison.lines}
    metrics = [metric for metric in _COMPARED if metric in used]
    table = [
        "Each row less the row that it builds on, on the same images, in points; ± is the standard "
        "deviation over the seeds, p the exact sign-flip test over the images, each with its seeds "
        "together (for one seed the McNemar test).",
        "",
        "| row | builds on | seeds | " + " | ".join(metrics) + " |",
        "| --- | --- | ---: |" + " ---: |" * len(metrics),
    ]
    table += [_markdown_line(comparison, metrics) for comparison in comparisons]
    return "\n".join(table) + "\n"


def _markdown_line(comparison: Comparison, metrics: Sequence[str]) -> str:
    by_metric = {line.metric: line for line in comparison.lines}
    cells = [_cell(by_metric[metric]) if metric in by_metric else "n/a" for metric in metrics]
    seeds = str(comparison.lines[0].seeds)
    names = [plain(comparison.row), plain(comparison.base)]
    return "| " + " | ".join([*names, seeds, *cells]) + " |"


def _cell(line: Paired) -> str:
    spread = "" if line.std is None else f" ±{line.std:.1f}"
    p = "p < 0.001" if line.p < 0.001 else f"p {line.p:.3f}"
    return f"{line.difference:+.1f}{spread}, {p}"
