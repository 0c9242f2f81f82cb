"""Two models on the same images: which is more accurate, and is that beyond chance?"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gratis.errors import GratisError, printable
from gratis.json_files import read_json
from gratis.report.paired import Correct
from gratis.report.rows import WORST
from gratis.report.runs import Run, read_runs
from gratis.report.summary import attack_name
from gratis.report.table import Cell, Table, TableRow, as_text
from gratis.results import METRICS, mcnemar

# What must be the same of both, so that an image is the same image under the same attack.
_ALIKE = ("data", "classes", "n", "epsilon", "pgd_steps")
_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class PairedMetric:
    """Two models in one metric, with the p-value of the exact McNemar test.

    Accuracies are in [0, 1]; ``only_a`` counts images that only the first classifies correctly.
    """

    metric: str
    a: float
    b: float
    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True)
class Pair:
    """A comparison of the models in two folders on ``n`` images, by metric.

    ``conclusion`` is the result in the strongest common attack, as a sentence.
    """

    a: str
    b: str
    n: int
    metrics: tuple[PairedMetric, ...]
    conclusion: str


def compare_two(a: Path, b: Path) -> Pair:
    """Compare two runs or evaluations, image by image."""
    first, second = _one(a), _one(b)
    _refuse_unlike(first, second)
    one, other = first.measurement.correct, second.measurement.correct
    same_suite = first.results.suite == second.results.suite
    names = [*METRICS, *([WORST] if same_suite else [])]
    metrics = tuple(_paired(name, one, other) for name in names if name in one and name in other)
    conclusion = _conclusion(metrics[-1], first, second)
    return Pair(str(a), str(b), len(first.measurement.index), metrics, conclusion)


def _one(folder: Path) -> Run:
    runs = read_runs([folder]).runs
    if len(runs) != 1:
        raise GratisError(f"{folder}: holds {len(runs)} runs; name one of them")
    return runs[0]


def _refuse_unlike(a: Run, b: Run) -> None:
    for field in _ALIKE:
        values = [getattr(run.results, field) for run in (a, b)]
        if values[0] != values[1]:
            shown = " and ".join(as_text(field, value) for value in values)
            raise GratisError(
                f"{a.path} and {b.path}: differ in {field} ({shown}), so their images cannot be "
                "compared; evaluate one of them as the other with gratis evaluate"
            )
    same = np.array_equal(a.measurement.index, b.measurement.index)
    if not same or len({_fingerprint(run) for run in (a, b)} - {None}) > 1:
        raise GratisError(
            f"{a.path} and {b.path}: were measured on other images; evaluate one of them on the "
            "data of the other with gratis evaluate --data"
        )


def _fingerprint(run: Run) -> str | None:
    """Return the fingerprint of the data, if it is known."""
    known = run.results.resolved.get("fingerprint")
    if known is None and (run.path / "data.json").is_file():
        content = read_json(run.path / "data.json")
        known = content.get("fingerprint") if isinstance(content, dict) else None
    return None if known is None else str(known)


def _paired(metric: str, one: Correct, other: Correct) -> PairedMetric:
    a, b = one[metric], other[metric]
    only = int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))
    return PairedMetric(metric, float(a.mean()), float(b.mean()), *only, mcnemar(a, b))


def _conclusion(found: PairedMetric, a: Run, b: Run) -> str:
    better, worse = (a, b) if found.a >= found.b else (b, a)
    attack = attack_name(found.metric, a.results)
    high, low = (100 * share for share in (max(found.a, found.b), min(found.a, found.b)))
    p = "p < 0.001" if found.p < 0.001 else f"p {found.p:.2g}"
    numbers = f"{high:.1f}% against {low:.1f}% of the same {a.results.n:,} images ({p})"
    doubtful = [str(run.path) for run in (a, b) if run.results.failed_checks]
    doubt = f" But sanity checks failed for {' and '.join(doubtful)}." if doubtful else ""
    if found.p >= _SIGNIFICANT:
        return (
            f"Under {attack} the difference between {better.path} and {worse.path} is not beyond "
            f"chance: {numbers}.{doubt}"
        )
    return f"Under {attack} {better.path} is better than {worse.path}: {numbers}.{doubt}"


def pair_table(pair: Pair) -> Table:
    """Return the comparison as a table, in percent and points."""
    rows = []
    for found in pair.metrics:
        p = "< 0.001" if found.p < 0.001 else f"{found.p:.3f}"
        numbers = (f"{100 * found.a:.1f}", f"{100 * found.b:.1f}")
        change = f"{100 * (found.a - found.b):+.1f}"
        cells = [found.metric, *numbers, change, str(found.only_a), str(found.only_b), p]
        rows.append(TableRow(list(map(Cell, cells))))
    columns = map(Cell, ("metric", "A", "B", "A - B", "only A", "only B", "p"))
    title = f"A: {printable(pair.a)}\nB: {printable(pair.b)}"
    notes = (
        "Accuracies in percent; only A: images that A alone classifies correctly; p: exact McNemar "
        "test over the images, which says nothing about other seeds.",
    )
    return Table(list(columns), rows, 1, title, notes, ("only B", "only A"))
