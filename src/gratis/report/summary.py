"""The summary in words: which model is the most robust, by how much, and how certain that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gratis.report.hardened import what_changed
from gratis.report.paired import Correct, Paired, compare
from gratis.report.remarks import failed_checks, overfitting
from gratis.report.rows import DOUBTFUL, WORST, Row
from gratis.report.runs import Run, setting
from gratis.report.table import in_common
from gratis.results import METRICS, Results

# Results are comparable if they agree in these fields.
_ALIKE = ("data", "classes", "n", "suite", "epsilon", "pgd_steps")
_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Summary:
    """The summary on some rows.

    Attributes:
        headline: the summary, in one or two sentences.
        remarks: further remarks, each in a sentence or two.
        best: the recipe of the most robust of several rows at equal compute; ``None`` without one.
    """

    headline: str
    remarks: Sequence[str]
    best: str | None


def strongest(rows: Sequence[Row]) -> str:
    """Return the metric of the strongest attack that all rows have.

    This is the worst case over a suite's attacks, if all rows have the same suite.
    """
    same = len({run.suite for row in rows for run in row.runs}) == 1
    # From strong to weak.
    metrics = [*([WORST] if same else []), *reversed(METRICS)]
    return next(metric for metric in metrics if all(row.estimate(metric) for row in rows))


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Return the rows at equal compute, the most robust first.

    References and external models are left out, unless there are no others.
    """
    equal = [r for r in rows if not (r.first.reference or r.first.external)] or list(rows)
    metric = strongest(rows)
    return sorted(equal, key=lambda row: row.value(metric), reverse=True)


def summarise(rows: Sequence[Row], runs: Sequence[Run], images: int | None) -> Summary:
    """Return the summary on the rows, which group ``runs``.

    ``images`` is the size of the validation split; ``None`` where it is unknown.
    """
    seeds = len(runs) > len(rows)
    hardened = _hardened(runs)
    unlike = differing(runs)
    outside = [] if unlike else _outside(rows)
    remarks = [*failed_checks(runs, seeds), *outside, *overfitting(runs, seeds)]
    if any(_is_subset(run.results, images) for run in runs):
        remarks.append("Only a subset of the validation images was measured, evenly spaced.")
    if unlike:
        values = [in_common([run.results for run in runs], field) for field in unlike]
        pairs = "; ".join(f"{f}: {v}" for f, v in zip(unlike, values, strict=True))
        headline = f"These models were not measured alike ({pairs}), so none is called the best."
        return Summary(headline, [*hardened, *remarks], None)
    first, *others = ranked(rows)
    headline = _headline(first, others, strongest(rows), runs, images)
    if len(hardened) == 1:
        headline = f"{hardened.pop()} {headline}"
    robust = bool(others) and first.value(strongest(rows)) > 0
    return Summary(headline, [*hardened, *remarks], first.first.recipe if robust else None)


def _hardened(runs: Sequence[Run]) -> list[str]:
    """Return what hardening changed in each hardened run, with titles if there are several."""
    found = [(run, text) for run in runs if (text := what_changed(run.results)) is not None]
    if len(found) == 1:
        return [text for _, text in found]
    return [f"“{run.results.title}”, seed {run.results.seed}: {text}" for run, text in found]


def differing(runs: Sequence[Run]) -> list[str]:
    """Return the fields in which runs that are not comparable differ; none if all were alike."""
    return [field for field in _ALIKE if len({getattr(r.results, field) for r in runs}) > 1]


def attack_name(metric: str, results: Results) -> str:
    """Return the attack of a metric, in words."""
    names = {
        WORST: f"all L-infinity attacks of the suite “{results.suite}”",
        "pgd": f"PGD-{results.pgd_steps}",
        "fgsm": "FGSM",
        "transfer": "FGSM on the baseline",
        "fgsm_transfer": "FGSM on the baseline, with geometric noise,",
    }
    if metric not in names:
        return "geometric noise" if metric == "geometric" else "no attack"
    return f"{names[metric]} at epsilon {in_common([results], 'epsilon')}"


def _headline(
    best: Row, others: Sequence[Row], metric: str, runs: Sequence[Run], images: int | None
) -> str:
    attack, found = attack_name(metric, best.first), best.estimate(metric)
    assert found is not None
    of = _images(best.first, images)
    if not found.value:
        return f"No model has any accuracy under {attack}, the strongest attack measured, on {of}."
    seeds = f", mean of {len(best.runs)} seeds" if len(best.runs) > 1 else ""
    correct = (
        f"under {attack}, the strongest attack measured, it classifies {found.value:.1f}% of {of} "
        f"correctly (95% interval {found.low:.1f} to {found.high:.1f}{seeds})"
    )
    doubtful = DOUBTFUL in best.mark
    clean = f"Without an attack its accuracy is {best.value('clean'):.1f}%."
    clean += " But it failed sanity checks." if doubtful else ""
    if not others:
        return f"“{best.first.title}”: {correct}. {clean}"
    test = _tested(best, others[0], metric, runs)
    p = None if test is None else test.p
    place = "ranks first"
    if p is not None and p < _SIGNIFICANT and not doubtful:
        place = "is the most robust"
    place = f"“{best.first.title}” {place} of {1 + len(others)} models"
    if p is not None and p >= _SIGNIFICANT:
        place += ", but the lead is not significant"
    lead = f"{best.value(metric) - others[0].value(metric):.1f} points more than the next"
    return f"{place}: {correct}, {lead}, “{others[0].first.title}”{_as_text(test)}. {clean}"


def _as_text(test: Paired | None) -> str:
    if test is None or test.p is None:
        return ""
    p = f"p {test.p:.2g}" if test.p >= 0.001 else "p < 0.001"
    over = (
        f"over {test.seeds} seeds" if test.seeds > 1 else "over the images, for this pair of models"
    )
    return f" ({p} {over})"


def _tested(a: Row, b: Row, metric: str, runs: Sequence[Run]) -> Paired | None:
    """Return the paired comparison; ``None`` without a common seed or common images."""
    of_a, of_b = (_by_seed(row, runs) for row in (a, b))
    every = [run.measurement.index for run in runs]
    if not of_a.keys() & of_b.keys() or any(not np.array_equal(every[0], i) for i in every):
        return None
    (line,) = compare(of_a, of_b, [metric])
    return line


def _by_seed(row: Row, runs: Sequence[Run]) -> Mapping[int, Correct]:
    return {
        run.results.seed: run.measurement.correct
        for run in runs
        if run.results.recipe == row.first.recipe
    }


def _outside(rows: Sequence[Row]) -> list[str]:
    """Return a remark on each row outside the comparison at equal compute."""
    metric, inside = strongest(rows), ranked(rows)
    remarks = []
    for row in rows:
        if row in inside:
            continue
        cost = f" with {row.mean('passes') / inside[0].mean('passes'):.1f} times the passes"
        if row.first.external:
            cost = "; its training cost is unknown"
        remarks.append(
            f"Outside the comparison at equal compute, “{row.first.title}” has an accuracy of "
            f"{row.value(metric):.1f}%{cost}."
        )
    return remarks


def _is_subset(results: Results, images: int | None) -> bool:
    """Return whether fewer than the ``images`` of the validation split were measured.

    If their number is unknown, a run that was limited to the number it measured counts as one.
    """
    if images is None:
        return bool(setting(results, "evaluate", "images") == results.n)
    return results.n < images


def _images(results: Results, images: int | None) -> str:
    if not _is_subset(results, images):
        return f"the {results.n:,} validation images"
    whole = "" if images is None else f" of the {images:,}"
    return f"a subset of {results.n:,}{whole} validation images"
