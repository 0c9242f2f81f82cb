"""The tables of a report beside the results: sanity checks, tasks, corruptions, classes, runs."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from gratis.report.rows import WORST, Estimate
from gratis.report.runs import Run
from gratis.report.table import Cell, Table, TableRow, as_text
from gratis.results import METRICS, Check, Results, SampleImages, TaskResult

# What a model that passes the check shows.
PASSED = {
    "repeatable": "the same image gets the same prediction twice",
    "better than guessing": "the model has an accuracy that an attack can lower",
    "gradient": "attacks have a gradient to follow",
    "fgsm against pgd": "many small steps are no weaker than a single large one",
    "more steps": "many steps are no weaker than a few",
    "transfer against white box": "the model's own gradients are no weaker than another's",
    "random noise": "the attack is stronger than random noise",
    "huge epsilon": "an attack that may turn every image grey fools every image",
    "catastrophic overfitting": "images that survive a single step survive many",
}
_NORMS = {"linf": "L-infinity", "l2": "L2"}
# The threats whose worst case is a field of the results.
_WORST_CASES = (WORST, "robust_l2")
# The number of classes that are all listed, and of those at each end of a longer list.
_ALL, _ENDS = 12, 6


def checks_table(checks: Sequence[Check]) -> Table:
    """Return the sanity checks of one run: what each says, and the values that it found."""
    columns = [Cell("check"), Cell("verdict"), Cell("found"), Cell("images")]
    rows = []
    for check in checks:
        verdict = Cell("passed") if check.passed else Cell("failed", bad=True)
        name = Cell(PASSED.get(check.name, check.name), small=check.name)
        rows.append(TableRow([name, verdict, Cell(figures(check)), Cell(str(check.images))]))
    return Table(columns, rows, 3)


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

    Args:
        results: the results.
        seconds: the duration of each task, by name, where known.
    """
    if not {task.name for task in results.tasks} - set(METRICS):
        return None
    corruptions = [task for task in results.tasks if "severity" in task.settings]
    others = [task for task in results.tasks if "severity" not in task.settings]
    rows = []
    for threat in dict.fromkeys(task.threat for task in others):
        rows += _of_threat(results, [t for t in others if t.threat == threat], seconds)
    columns = ["task", "epsilon", "images", "survive (%)", *_column(seconds)]
    tasks = Table([Cell(column) for column in columns], rows)
    return SuiteTables(tasks, _corruptions(results, corruptions, seconds) if corruptions else None)


def _of_threat(
    results: Results, tasks: Sequence[TaskResult], seconds: Mapping[str, float]
) -> list[TableRow]:
    rows = [_task(results, task, place == 0, seconds) for place, task in enumerate(tasks)]
    threat = tasks[0].threat
    worst = getattr(results, threat) if threat in _WORST_CASES else None
    if worst is not None:
        name = Cell(threat, small="worst case, image by image")
        survive = _interval(Estimate.of(worst, results.n))
        cells = [name, rows[-1].cells[1], Cell(""), survive, *_blank(seconds)]
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
        _interval(Estimate.of(task.accuracy, results.n)),
    ]
    return TableRow([*cells, *_seconds([task], seconds)])


def _interval(estimate: Estimate, digits: int = 1) -> Cell:
    value, low, high = (f"{n:.{digits}f}" for n in (estimate.value, estimate.low, estimate.high))
    return Cell(value, f"[{low}, {high}]")


def _method(settings: Mapping[str, Any]) -> str:
    if "attack" in settings:
        return attack_in_words(settings["attack"])
    if "part" in settings:
        return f"AutoAttack: {settings['part']}"
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
        numbers = [*(found.get(s) for s in severities), fmean(found.values())]
        rows.append(TableRow([Cell(kind), *map(_number, numbers), *_seconds(of_kind, seconds)]))
    if results.corruptions is not None:
        blank = [Cell("")] * len(severities)
        mean = _number(100 * results.corruptions)
        rows.append(TableRow([Cell("mean"), *blank, mean, *_blank(seconds)], strong=True))
    columns = ["kind", *map(str, severities), "mean", *_column(seconds)]
    return Table([Cell(column) for column in columns], rows)


def _column(seconds: Mapping[str, float]) -> list[str]:
    return ["seconds"] if seconds else []


def _blank(seconds: Mapping[str, float]) -> list[Cell]:
    return [Cell("")] if seconds else []


def _seconds(tasks: Sequence[TaskResult], seconds: Mapping[str, float]) -> list[Cell]:
    if not seconds:
        return []
    known = [seconds[task.name] for task in tasks if task.name in seconds]
    return [_number(sum(known) if len(known) == len(tasks) else None)]


def _number(value: float | None) -> Cell:
    return Cell("n/a" if value is None else f"{value:.1f}")


class ClassRanking(NamedTuple):
    """Some classes under a heading, the most robust first.

    ``bars`` holds the clean and the attacked accuracy of each class, in percent.
    """

    heading: str
    table: Table
    bars: Sequence[tuple[float, float]]


def class_rankings(run: Run, samples: SampleImages, metric: str) -> list[ClassRanking]:
    """Return the classes of a run by their accuracy in ``metric``: all, or of many both ends."""
    ranked = _ranked(run, samples, metric)
    if len(ranked) <= _ALL:
        return [_ranking("All classes, the most robust first", ranked)]
    return [
        _ranking(f"The {_ENDS} most robust of {len(ranked)} classes", ranked[:_ENDS]),
        _ranking(f"The {_ENDS} least robust", ranked[-_ENDS:]),
    ]


class _ClassAccuracy(NamedTuple):
    name: str
    images: int
    clean: Estimate
    attacked: Estimate


def _ranked(run: Run, samples: SampleImages, metric: str) -> list[_ClassAccuracy]:
    labels, correct = samples.labels[run.measurement.index], run.measurement.correct
    found = []
    for number in np.unique(labels).tolist():
        own = labels == number
        n = int(np.count_nonzero(own))
        clean, attacked = (Estimate.of(float(correct[m][own].mean()), n) for m in ("clean", metric))
        found.append(_ClassAccuracy(samples.classes[number], n, clean, attacked))
    return sorted(found, key=lambda each: (each.attacked.value, each.clean.value), reverse=True)


def _ranking(heading: str, classes: Sequence[_ClassAccuracy]) -> ClassRanking:
    rows = [
        TableRow(
            [Cell(c.name), Cell(str(c.images)), _interval(c.clean, 0), _interval(c.attacked, 0)]
        )
        for c in classes
    ]
    columns = [Cell(name) for name in ("class", "images", "clean", "attacked")]
    bars = [(each.clean.value, each.attacked.value) for each in classes]
    return ClassRanking(heading, Table(columns, rows), bars)


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
