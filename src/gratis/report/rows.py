"""The rows of a report: the runs of one recipe, their numbers and their marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Self

from gratis.results import METRICS, Results, collapsed
from gratis.results.statistics import mean_and_std, t_interval, wilson

# The worst case over all L-infinity attacks of a suite.
WORST = "robust"
WORST_MEANS = "what stands every L-infinity attack of the suite, image by image"

# Metrics that are measured on images attacked through the baseline: white box for itself.
ON_THE_BASELINE = ("fgsm_transfer", "transfer")

WHITE_BOX, REFERENCE, COLLAPSED, DOUBTFUL = "†", "‡", "⚠", "§"
_MEANINGS = {
    WHITE_BOX: "attacked through this very model: white box here, a transfer attack elsewhere.",
    REFERENCE: "reference, outside the comparison at equal compute.",
    COLLAPSED: "FGSM accuracy that PGD breaks: catastrophic overfitting, or no defence at all.",
    DOUBTFUL: "failed sanity checks: its accuracy under attack cannot be taken at face value.",
}


@dataclass(frozen=True)
class Cell:
    """One metric of one row, in percent.

    ``low`` and ``high`` bound the 95% interval: Wilson's over the images of a single run, or
    Student's t of the mean over several seeds, cut to [0, 100]. ``std`` is the standard deviation
    over the seeds, ``None`` for a single run.
    """

    value: float
    low: float
    high: float
    std: float | None

    @classmethod
    def of(cls, share: float, images: int) -> Self:
        """Return a share, in [0, 1], of so many images that were measured once."""
        low, high = wilson(share, images)
        return cls(100 * share, 100 * low, 100 * high, None)

    @property
    def spread(self) -> tuple[float, float]:
        """How far the error bar reaches down and up, in points: the interval, or ``std``."""
        if self.std is not None:
            return self.std, self.std
        return self.value - self.low, self.high - self.value

    @property
    def margin(self) -> float:
        """What stands behind the ± sign, in points: the wider side of the error bar."""
        return max(self.spread)


@dataclass(frozen=True)
class Row:
    """All runs of one recipe, which differ in their seed."""

    runs: tuple[Results, ...]

    @property
    def first(self) -> Results:
        """The run that speaks for what all have in common."""
        return self.runs[0]

    def mean(self, field: str) -> float:
        """Return the mean of a number over the runs."""
        return fmean(getattr(run, field) for run in self.runs)

    def cell(self, metric: str) -> Cell | None:
        """Return a metric in percent, or ``None`` where a run lacks it."""
        values = [v for run in self.runs if (v := getattr(run, metric)) is not None]
        if len(values) < len(self.runs):
            return None
        if len(values) == 1:
            return Cell.of(values[0], self.first.n)
        mean, std = mean_and_std(values)
        low, high = t_interval(values)
        return Cell(100 * mean, 100 * max(low, 0.0), 100 * min(high, 1.0), 100 * std)

    def paper(self, metric: str) -> float | None:
        """Return what the paper gives for a metric, in percent, or ``None``."""
        value: float | None = getattr(self.first.paper, metric, None)
        return value

    @property
    def mark(self) -> str:
        """The mark of the row's title."""
        doubtful = any(run.failed_checks for run in self.runs)
        return (REFERENCE if self.first.reference else "") + (DOUBTFUL if doubtful else "")

    def mark_of(self, metric: str) -> str:
        """Return the mark of a metric's number."""
        if metric in ON_THE_BASELINE and self.first.baseline:
            return WHITE_BOX if self.cell(metric) else ""
        if metric == "fgsm" and any(collapsed(run.fgsm, run.pgd) for run in self.runs):
            return COLLAPSED
        return ""


def group(results: Sequence[Results]) -> list[Row]:
    """Return one row per recipe, in the order of first appearance."""
    runs: dict[str, list[Results]] = {}
    for result in results:
        runs.setdefault(result.recipe, []).append(result)
    return [Row(tuple(of_recipe)) for of_recipe in runs.values()]


def titles(rows: Sequence[Row]) -> list[str]:
    """Return the title of each row with its mark.

    Where rows were not all trained on equally many images, each says on how many it was, if that
    is known.
    """
    plain = [f"{row.first.title} {row.mark}".rstrip() for row in rows]
    if not trained_unlike([run for row in rows for run in row.runs]):
        return plain
    images = [in_common(row.runs, "train_images") for row in rows]
    return [
        title if row.first.external else f"{title} [{n} training images]"
        for title, n, row in zip(plain, images, rows, strict=True)
    ]


def trained_unlike(results: Sequence[Results]) -> bool:
    """Return whether runs are known to be trained on different numbers of images."""
    return len({run.train_images for run in results if not run.external}) > 1


def shown(rows: Sequence[Row]) -> list[str]:
    """Return the metrics of a table: the usual ones, and the worst case where a row has one."""
    return [*METRICS, *([WORST] if any(row.cell(WORST) for row in rows) else [])]


def measured_on(results: Sequence[Results]) -> str:
    """Return the data, on how many images the rows were trained, if known, and measured."""
    trained = [run for run in results if not run.external]
    if trained_unlike(trained):
        images = ["different numbers of training images"]
    else:
        images = [f"{in_common(trained, 'train_images')} training images"] if trained else []
    measured = f"{in_common(results, 'n')} validation images"
    return ", ".join([in_common(results, "data"), *images, measured])


def budget(results: Sequence[Results]) -> str:
    """Return what the attacks were allowed, in words."""
    words = f"epsilon {in_common(results, 'epsilon')} (L-infinity)"
    attacked = [run for run in results if run.pgd is not None]
    return f"{words}, PGD with {in_common(attacked, 'pgd_steps')} steps" if attacked else words


def explain_marks(rows: Sequence[Row]) -> list[str]:
    """Return a line for every mark that occurs in the rows."""
    used = "".join(row.mark + "".join(map(row.mark_of, METRICS)) for row in rows)
    return [f"{mark} {text}" for mark, text in _MEANINGS.items() if mark in used]


def in_common(results: Sequence[Results], field: str) -> str:
    """Return a field's value, or its different values in the order of appearance."""
    values: list[Any] = [getattr(result, field) for result in results]
    return ", ".join(dict.fromkeys(as_text(field, value) for value in values))


def as_text(field: str, value: Any) -> str:
    """Return a value the way people write it: epsilon in 255ths, counts with commas."""
    if field == "epsilon":
        return f"{round(255 * value, 2):g}/255"
    return f"{value:,}" if isinstance(value, int) else str(value)


def count(number: float) -> str:
    """Return a count in few letters: 950, 55k, 1.2M."""
    if number < 9_950:
        return f"{number:.0f}" if number < 1_000 else f"{number / 1_000:.1f}k"
    return f"{number / 1_000:.0f}k" if number < 999_500 else f"{number / 1_000_000:.1f}M"
