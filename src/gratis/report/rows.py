"""The rows of a report: the runs of one recipe, their accuracies and their marks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Self

from gratis.report.table import in_common
from gratis.results import METRICS, Results
from gratis.results.statistics import mean_and_std, t_interval, wilson

# The worst case over all L-infinity attacks of a suite.
WORST = "robust"
# The mean accuracy over all epsilons up to that of the evaluation.
EXPECTED = "expected"
# The metrics that the paper's Table 1 has.
PAPERS = ("geometric", "fgsm_transfer")
# Its data, and the number of classes.
PAPERS_DATA = ("tiny-imagenet", 200)
# The metrics on images that are attacked through the baseline: white box for the baseline itself.
ON_THE_BASELINE = ("fgsm_transfer", "transfer")

WHITE_BOX, REFERENCE, OVERFITTED, DOUBTFUL = "†", "‡", "⚠", "§"
_MEANINGS = {
    WHITE_BOX: "attacked through this very model: white box here, a transfer attack on the others.",
    REFERENCE: "reference, outside the comparison at equal compute.",
    OVERFITTED: "FGSM accuracy that PGD breaks: catastrophic overfitting, or no defence at all.",
    DOUBTFUL: "failed sanity checks: the accuracy under attack is not reliable.",
}


@dataclass(frozen=True)
class Estimate:
    """An accuracy with its uncertainty, in percent.

    Attributes:
        value: the accuracy, or its mean over several seeds.
        low: the lower bound of the 95% interval: Wilson's over the images of a single run, or
            Student's t of the mean over several seeds, within [0, 100].
        high: the upper bound.
        std: the standard deviation over the seeds; ``None`` for a single run.
    """

    value: float
    low: float
    high: float
    std: float | None

    @classmethod
    def of(cls, share: float, images: int) -> Self:
        """Return the estimate from one measurement: a share, in [0, 1], of so many images."""
        low, high = wilson(share, images)
        return cls(100 * share, 100 * low, 100 * high, None)

    @property
    def spread(self) -> tuple[float, float]:
        """The lengths of the error bar, down and up, in points: the interval, or ``std``."""
        if self.std is not None:
            return self.std, self.std
        return self.value - self.low, self.high - self.value

    @property
    def margin(self) -> float:
        """The number behind the ± sign, in points: the longer side of the error bar."""
        return max(self.spread)


@dataclass(frozen=True)
class Row:
    """All runs of one recipe; they differ in their seed."""

    runs: tuple[Results, ...]

    @property
    def first(self) -> Results:
        """The first run, for everything that the runs have in common."""
        return self.runs[0]

    def mean(self, field: str) -> float:
        """Return the mean of a number over the runs."""
        return fmean(getattr(run, field) for run in self.runs)

    def mean_or_none(self, field: str) -> float | None:
        """Return the mean of a number over the runs, or ``None`` if a run lacks it."""
        values = [v for run in self.runs if (v := getattr(run, field)) is not None]
        return fmean(values) if len(values) == len(self.runs) else None

    def estimate(self, metric: str) -> Estimate | None:
        """Return a metric, or ``None`` if a run lacks it."""
        values = [v for run in self.runs if (v := getattr(run, metric)) is not None]
        if len(values) < len(self.runs):
            return None
        if len(values) == 1:
            return Estimate.of(values[0], self.first.images_of(metric))
        mean, std = mean_and_std(values)
        low, high = t_interval(values)
        return Estimate(100 * mean, 100 * max(low, 0.0), 100 * min(high, 1.0), 100 * std)

    def value(self, metric: str) -> float:
        """Return a metric that every run has, in percent."""
        estimate = self.estimate(metric)
        assert estimate is not None
        return estimate.value

    def paper(self, metric: str) -> float | None:
        """Return the paper's value of a metric, in percent; ``None`` on other data than its own."""
        if any((run.data, run.classes) != PAPERS_DATA for run in self.runs):
            return None
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
            return WHITE_BOX if self.estimate(metric) else ""
        if metric == "fgsm" and any(run.overfitted for run in self.runs):
            return OVERFITTED
        return ""


def group(results: Sequence[Results]) -> list[Row]:
    """Return one row per recipe, in the order of first appearance.

    External models of one name are one row only if they have the same weights.
    """
    rows: dict[tuple[str, str], list[Results]] = {}
    for result in results:
        weights = str(result.resolved.get("weights", "")) if result.external else ""
        rows.setdefault((result.recipe, weights), []).append(result)
    names = Counter(recipe for recipe, _ in rows)
    return [
        Row(tuple(runs if names[recipe] == 1 else (_with_weights(run, weights) for run in runs)))
        for (recipe, weights), runs in rows.items()
    ]


def _with_weights(run: Results, weights: str) -> Results:
    """Return the run with its weights in its name, to tell models of one name apart."""
    which = f"weights {weights[:8]}"
    names = {"recipe": f"{run.recipe} {which}", "title": f"{run.title} ({which})"}
    return run.model_copy(update=names)


def titles(rows: Sequence[Row]) -> list[str]:
    """Return the title of each row with its mark.

    If the rows differ in their number of training images, the titles give it where it is known.
    """
    marked = [f"{row.first.title} {row.mark}".rstrip() for row in rows]
    if not trained_unlike([run for row in rows for run in row.runs]):
        return marked
    images = [in_common(row.runs, "train_images") for row in rows]
    return [
        title if row.first.external else f"{title} [{n} training images]"
        for title, n, row in zip(marked, images, rows, strict=True)
    ]


def trained_unlike(results: Sequence[Results]) -> bool:
    """Return whether runs were trained on different numbers of images."""
    return len({run.train_images for run in results if not run.external}) > 1


def shown_metrics(rows: Sequence[Row]) -> list[str]:
    """Return the metrics of a table: the usual ones, and the others that a row has."""
    others = [metric for metric in (WORST, EXPECTED) if any(row.estimate(metric) for row in rows)]
    return [*METRICS, *others]


def measured_on(results: Sequence[Results]) -> str:
    """Return the data, and the numbers of training images, where known, and validation images."""
    trained = [run for run in results if not run.external]
    if trained_unlike(trained):
        images = ["different numbers of training images"]
    else:
        images = [f"{in_common(trained, 'train_images')} training images"] if trained else []
    measured = f"{in_common(results, 'n')} validation images"
    return ", ".join([in_common(results, "data"), *images, measured])


def attacked_with(results: Sequence[Results]) -> str:
    """Return epsilon and the steps of PGD, in words."""
    words = f"epsilon {in_common(results, 'epsilon')} (L-infinity)"
    attacked = [run for run in results if run.pgd is not None]
    return f"{words}, PGD with {in_common(attacked, 'pgd_steps')} steps" if attacked else words


def explain_marks(rows: Sequence[Row]) -> list[str]:
    """Return a line for every mark that occurs in the rows."""
    used = "".join(row.mark + "".join(map(row.mark_of, METRICS)) for row in rows)
    return [f"{mark} {text}" for mark, text in _MEANINGS.items() if mark in used]
