"""The verdict in words: who is the most robust, by how much, and what to beware of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gratis.report.checks import failures
from gratis.report.overfitting import overfitting
from gratis.report.paired import Correct, compare
from gratis.report.rows import DOUBTFUL, WORST, Cell, Row, in_common
from gratis.report.runs import Run, setting
from gratis.results import METRICS, Results

# What makes numbers comparable.
_ALIKE = ("data", "classes", "n", "suite", "epsilon", "pgd_steps")
_CHANCE = 0.05


@dataclass(frozen=True)
class Verdict:
    """``headline`` in one or two sentences; ``remarks``, a sentence or two each.

    ``best`` is the first of several rows at equal compute, or ``None`` where none is.
    """

    headline: str
    remarks: Sequence[str]
    best: Row | None


def strongest(rows: Sequence[Row]) -> str:
    """Return the strongest attack that every row was measured under, or what comes nearest.

    That is the worst case over a suite's attacks, where all were measured in the same suite.
    """
    runs = [run for row in rows for run in row.runs]
    same = len({run.suite for run in runs}) == 1
    # From strong to weak.
    metrics = [*([WORST] if same else []), *reversed(METRICS)]
    return next(metric for metric in metrics if all(row.cell(metric) for row in rows))


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that compete, the most robust first.

    They are those at equal compute, without references and models whose compute nobody knows;
    all rows where there are no such.
    """
    contenders = [r for r in rows if not (r.first.reference or r.first.external)] or list(rows)
    metric = strongest(rows)
    return sorted(contenders, key=lambda row: _value(row, metric), reverse=True)


def judge(rows: Sequence[Row], runs: Sequence[Run], images: int | None) -> Verdict:
    """Return the verdict on the rows.

    Args:
        rows: all of them.
        runs: the runs that the rows group.
        images: how many images the validation split has, or ``None`` where that is not known.
    """
    seeds = len(runs) > len(rows)
    differing = [field for field in _ALIKE if len({getattr(r.results, field) for r in runs}) > 1]
    outside = [] if differing else _outside(rows)
    remarks = [*failures(runs, seeds), *outside, *overfitting(runs, seeds)]
    if any(is_subset(run.results, images) for run in runs):
        remarks.append("Only a part of the validation images was measured, evenly spaced.")
    if differing:
        values = [in_common([run.results for run in runs], field) for field in differing]
        pairs = "; ".join(f"{f}: {v}" for f, v in zip(differing, values, strict=True))
        headline = f"These models were not measured alike ({pairs}): none is called the best."
        return Verdict(headline, remarks, None)
    contenders, metric = ranked(rows), strongest(rows)
    stands = len(contenders) > 1 and _value(contenders[0], metric) > 0
    headline = _headline(contenders, metric, runs, images)
    return Verdict(headline, remarks, contenders[0] if stands else None)


def attack_name(metric: str, results: Results) -> str:
    """Return what a metric is measured under, in the words of papers."""
    names = {
        WORST: f"all L-infinity attacks of the suite “{results.suite}”",
        "pgd": f"PGD-{results.pgd_steps}",
        "fgsm": "FGSM",
        "transfer": "FGSM against the baseline",
        "fgsm_transfer": "FGSM against the baseline, with geometric noise,",
    }
    if metric not in names:
        return "geometric noise" if metric == "geometric" else "no attack"
    return f"{names[metric]} at epsilon {in_common([results], 'epsilon')}"


def _headline(contenders: Sequence[Row], metric: str, runs: Sequence[Run], of: int | None) -> str:
    best = contenders[0]
    attack, cell, clean = attack_name(metric, best.first), best.cell(metric), best.cell("clean")
    assert cell and clean
    if not cell.value:
        images = _images(best.first, of)
        return f"Nothing withstands {attack}, the strongest attack measured: of {images} none does."
    right = (
        f"under {attack}, the strongest attack measured, it keeps {cell.value:.1f}% of "
        f"{_images(best.first, of)} right (95% interval {_interval(cell)}{_seeds(best)})"
    )
    doubtful = DOUBTFUL in best.mark
    unattacked = f"Without an attack it is right about {clean.value:.1f}%."
    unattacked += " But it failed sanity checks." if doubtful else ""
    if len(contenders) == 1:
        return f"“{best.first.title}”: {right}. {unattacked}"
    p = _p_value(best, contenders[1], metric, runs)
    sure = p is not None and p < _CHANCE
    robust = sure and not doubtful
    place = f"{'is the most robust' if robust else 'comes first'} of {len(contenders)} models"
    if p is not None and not sure:
        place += ", but within chance"
    lead = _lead(_value(best, metric) - _value(contenders[1], metric), contenders[1], p)
    return f"“{best.first.title}” {place}: {right}, {lead}. {unattacked}"


def _lead(points: float, next_best: Row, p: float | None) -> str:
    words = f"{points:.1f} points more than the next, “{next_best.first.title}”"
    if p is None:
        return words
    return f"{words} ({f'p {p:.2g}' if p >= 0.001 else 'p < 0.001'} on the same images)"


def _p_value(a: Row, b: Row, metric: str, runs: Sequence[Run]) -> float | None:
    """Return the paired test's p, or ``None`` without a seed and images in common."""
    of_a, of_b = (_by_seed(row, runs) for row in (a, b))
    every = [run.measurement.index for run in runs]
    if not of_a.keys() & of_b.keys() or any(not np.array_equal(every[0], i) for i in every):
        return None
    (line,) = compare(of_a, of_b, [metric])
    return line.p


def _by_seed(row: Row, runs: Sequence[Run]) -> Mapping[int, Correct]:
    return {
        run.results.seed: run.measurement.correct
        for run in runs
        if run.results.recipe == row.first.recipe
    }


def _outside(rows: Sequence[Row]) -> list[str]:
    """Return what the rows keep that do not compete with the others."""
    metric, first = strongest(rows), ranked(rows)
    remarks = []
    for row in rows:
        if row in first:
            continue
        if row.first.external:
            cost = ": what its training took is not known"
        else:
            cost = f" with {row.mean('passes') / first[0].mean('passes'):.1f} times the passes"
        remarks.append(
            f"Outside the comparison at equal compute, “{row.first.title}” keeps "
            f"{_value(row, metric):.1f}%{cost}."
        )
    return remarks


def is_subset(results: Results, images: int | None) -> bool:
    """Return whether fewer than the ``images`` of the validation split were measured.

    Where these are not known, a run that asked for as many as it measured counts as one.
    """
    if images is None:
        return bool(setting(results, "evaluate", "images") == results.n)
    return results.n < images


def _images(results: Results, images: int | None) -> str:
    if not is_subset(results, images):
        return f"the {results.n:,} validation images"
    whole = "" if images is None else f" of the {images:,}"
    return f"a subset of {results.n:,}{whole} validation images"


def _interval(cell: Cell) -> str:
    return f"{cell.low:.1f} to {cell.high:.1f}"


def _seeds(row: Row) -> str:
    return f", mean of {len(row.runs)} seeds" if len(row.runs) > 1 else ""


def _value(row: Row, metric: str) -> float:
    cell = row.cell(metric)
    assert cell is not None
    return cell.value
