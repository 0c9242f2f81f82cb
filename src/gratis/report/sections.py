"""The tables of a report beside the results: sanity checks, tasks, corruptions, runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from statistics import fmean
from typing import Any, NamedTuple

from gratis.report.rows import WORST, Estimate
from gratis.report.runs import Run
from gratis.report.table import Cell, Table, TableRow, as_text
from gratis.results import METRICS, Check, Results, TaskResult

# What a model that passes the check shows.
PASSED = {
    "repeatable": "the same image gets the same prediction twice",
    "better than guessing": "the model has an accuracy that an attack can lower",
    "gradient": "attacks have a gradient to follow",
    "directional derivatives": "the gradient predicts how the loss changes",
    "fgsm against pgd": "many small steps are no weaker than a single large one",
    "more steps": "many steps are no weaker than a few",
    "transfer against white box": "the model's own gradients are no weaker than another's",
    "random noise": "the attack is stronger than random noise",
    "huge epsilon": "an attack that may turn every image grey fools every image",
    "catastrophic overfitting": "images that survive a single step survive many",
    "margin against cross entropy": "another loss adds little to cross entropy",
    "square against gradients": "random search finds nothing that gradients miss",
}
_NORMS = {"linf": "L-infinity", "l2": "L2"}
# The threats whose worst case is a field of the results.
_WORST_CASES = (WORST, "robust_l2")
# The last attack of the suite ``table``: its accuracy is the worst case.
_MARGIN = "pgd_margin"


def checks_table(checks: Sequence[Check]) -> Table:
    """Return the sanity checks of one run: what each says, and the values that it found."""
    columns = [Cell("check"), Cell("result"), Cell("found"), Cell("images")]
    rows = []
    for check in checks:
        result = Cell("passed") if check.passed else Cell("failed", bad=True)
        name = Cell(PASSED.get(check.name, check.name), small=check.name)
        rows.append(TableRow([name, result, Cell(figures(check)), Cell(str(check.images))]))
    return Table(columns, rows, 3, title="sanity checks")


def figures(check: Check) -> str:
    """Return the values that a check found, with their names; shares in percent."""
    return "; ".join(f"{name} {100 * share:.3g}%" for name, share in check.figures.items())


def remedies(checks: Sequence[Check]) -> list[tuple[str, str]]:
    """Return, for each failed check, its name, and its rule and advice in sentences."""
    failed = [check for check in checks if not check.passed]
    return [(c.name, f"{_sentence(c.rule)} {_sentence(c.advice)}") for c in failed]


def _sentence(text: str) -> str:
    text = f"it {text}" if text.startswith("fails ") else text
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


class SuiteTables(NamedTuple):
    """The tasks of one evaluation, and its corruptions by severity."""

    tasks: Table
    corruptions: Table | None


def suite_tables(results: Results, seconds: Mapping[str, float]) -> SuiteTables | None:
    """Return the tasks of an evaluation; ``None`` if the results table has them all.

    ``seconds`` are the duration of each task; without any there is no such column.
    """
    if not {task.name for task in results.tasks} - {*METRICS, _MARGIN}:
        return None
    corruptions = [task for task in results.tasks if "severity" in task.settings]
    others = [task for task in results.tasks if "severity" not in task.settings]
    rows = []
    for threat in dict.fromkeys(task.threat for task in others):
        rows += _of_threat(results, [t for t in others if t.threat == threat], seconds)
    columns = [Cell(name) for name in ("task", "epsilon", "images", "survive (%)", "seconds")]
    tables = [Table(columns, rows, title=f"suite {results.suite}")]
    tables += [_corruptions(results, corruptions, seconds)] if corruptions else []
    tasks, *more = tables if seconds else map(_without_last_column, tables)
    return SuiteTables(tasks, more[0] if more else None)


def _without_last_column(table: Table) -> Table:
    rows = [row._replace(cells=row.cells[:-1]) for row in table.rows]
    return replace(table, columns=table.columns[:-1], rows=rows)


def _of_threat(
    results: Results, tasks: Sequence[TaskResult], seconds: Mapping[str, float]
) -> list[TableRow]:
    rows = [_task(results, task, place == 0, seconds) for place, task in enumerate(tasks)]
    threat = tasks[0].threat
    worst = getattr(results, threat) if threat in _WORST_CASES else None
    if worst is not None:
        name = Cell(threat, small="worst case, image by image")
        survive = interval_cell(Estimate.of(worst, results.n))
        cells = [name, rows[-1].cells[1], Cell(""), survive, Cell("")]
        rows.append(TableRow(cells, strong=True))
    return [*rows[:-1], rows[-1]._replace(ends_group=True)]


def _task(
    results: Results, task: TaskResult, first: bool, seconds: Mapping[str, float]
) -> TableRow:
    attack = task.settings.get("attack", task.settings)
    epsilon, norm = attack.get("epsilon"), attack.get("norm", "linf")
    bound = Cell("")
    if epsilon is not None:
        text = as_text("epsilon", epsilon) if norm == "linf" else f"{epsilon:g}"
        bound = Cell(text, small=_NORMS.get(norm, norm))
    attacked = "clean-correct" if task.standalone or first else "survivors"
    cells = [
        Cell(task.name, small=_method(task.settings)),
        bound,
        Cell(f"{task.images:,}", small=attacked if task.threat else "all"),
        interval_cell(Estimate.of(task.accuracy, results.n)),
        _number(_total([task], seconds)),
    ]
    return TableRow(cells)


def interval_cell(estimate: Estimate, digits: int = 1) -> Cell:
    """Return an accuracy with its interval, in percent, as a cell."""
    value, low, high = (f"{n:.{digits}f}" for n in (estimate.value, estimate.low, estimate.high))
    return Cell(value, f"[{low}, {high}]")


def _method(settings: Mapping[str, Any]) -> str:
    if "attack" in settings:
        return attack_in_words(settings["attack"])
    if "part" in settings:
        return f"AutoAttack: {settings['part']}"
    if "queries" in settings:
        return f"Square Attack, {settings['queries']} queries"
    if "draws" in settings:
        degrees, shift = settings["degrees"], 100 * settings["shift"]
        return f"worst of {settings['draws']}: rotated up to {degrees:g}°, shifted up to {shift:g}%"
    return ""


def attack_in_words(attack: Mapping[str, Any]) -> str:
    """Return the name of a gradient attack in papers, from its settings."""
    family = "PGD" if attack["random_start"] else "BIM"
    name = "FGSM" if (family, attack["steps"]) == ("BIM", 1) else f"{family}-{attack['steps']}"
    more = [f"{attack['restarts']} starts"] if attack["restarts"] > 1 else []
    more += ["margin loss"] if attack["loss"] == "margin" else []
    return f"{name} ({', '.join(more)})" if more else name


def _corruptions(
    results: Results, tasks: Sequence[TaskResult], seconds: Mapping[str, float]
) -> Table:
    severities = sorted({int(task.settings["severity"]) for task in tasks})
    rows = []
    for kind, group in groupby(tasks, key=lambda task: str(task.settings["kind"])):
        of_kind = list(group)
        found = {int(task.settings["severity"]): 100 * task.accuracy for task in of_kind}
        numbers = [*map(found.get, severities), fmean(found.values()), _total(of_kind, seconds)]
        rows.append(TableRow([Cell(kind), *map(_number, numbers)]))
    if results.corruptions is not None:
        mean = _number(100 * results.corruptions)
        cells = [Cell("mean"), *[Cell("")] * len(severities), mean, Cell("")]
        rows.append(TableRow(cells, strong=True))
    columns = ["kind", *map(str, severities), "mean", "seconds"]
    cells = [Cell(column) for column in columns]
    return Table(cells, rows, title="corruptions, by severity")


def _total(tasks: Sequence[TaskResult], seconds: Mapping[str, float]) -> float | None:
    known = [seconds[task.name] for task in tasks if task.name in seconds]
    return sum(known) if len(known) == len(tasks) else None


def _number(value: float | None) -> Cell:
    return Cell("n/a" if value is None else f"{value:.1f}")


def runs_table(runs: Sequence[Run]) -> Table:
    """Return the runs of a page, with their folders."""
    names = ("run", "folder", "seed", "images", "epsilon", "PGD steps", "passes", "seconds")
    rows = []
    for run in runs:
        results = run.results
        costs = [f"{results.passes:,.0f}", f"{results.seconds:,.0f}"]
        texts = [
            *(results.title, str(run.path), str(results.seed), f"{results.n:,}"),
            *(as_text("epsilon", results.epsilon), str(results.pgd_steps)),
            *(["n/a"] * 2 if results.external else costs),
        ]
        rows.append(TableRow([Cell(text) for text in texts]))
    return Table([Cell(name) for name in names], rows, 2)
