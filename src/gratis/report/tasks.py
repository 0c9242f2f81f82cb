"""The tasks of a suite one by one: how each was held, whom it faced, what stood it, its time."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from gratis.report.rows import WORST, Cell, as_text
from gratis.report.runs import Run
from gratis.results import METRICS, TaskResult

_NORMS = {"linf": "L-infinity", "l2": "L2"}
# The threats whose worst case results hold under its own name.
_WORST_CASES = (WORST, "robust_l2")


class TaskLine(NamedTuple):
    """One task: ``how`` it was held, and its norm and epsilon, in words; empty for what has none.

    ``faced`` counts the images it was held on, ``whom`` says which those are; of a worst case over
    several tasks, which is ``worst``, they and the ``seconds`` are ``None``.
    """

    name: str
    how: str
    norm: str
    epsilon: str
    images: int | None
    whom: str
    cell: Cell
    seconds: float | None
    worst: bool = False


class CorruptionLine(NamedTuple):
    """One kind of corruption: accuracy in percent at each severity, their mean, and its time."""

    kind: str
    accuracies: Sequence[float]
    mean: float
    seconds: float | None


class SuiteView(NamedTuple):
    """All tasks of one run, by what they threaten, and its corruptions apart from them."""

    title: str
    suite: str
    n: int
    seconds: float | None
    groups: Sequence[Sequence[TaskLine]]
    corruptions: Sequence[CorruptionLine]
    mean_corruption: float | None


def suite_view(run: Run, title: str) -> SuiteView | None:
    """Return the tasks of a run, or ``None`` where they are no more than the table's metrics."""
    tasks = run.results.tasks
    if not {task.name for task in tasks} - set(METRICS):
        return None
    plain = [task for task in tasks if not _corrupts(task)]
    threats = dict.fromkeys(task.threat for task in plain)
    mean = run.results.corruptions
    return SuiteView(
        title=title,
        suite=run.results.suite,
        n=run.results.n,
        seconds=_total(run, tasks),
        groups=[_group(run, [t for t in plain if t.threat == threat]) for threat in threats],
        corruptions=_corruptions(run, [task for task in tasks if _corrupts(task)]),
        mean_corruption=None if mean is None else 100 * mean,
    )


def attack_in_words(attack: Mapping[str, Any]) -> str:
    """Return what papers call a gradient attack, from its settings as results hold them."""
    family = "PGD" if attack["random_start"] else "BIM"
    name = "FGSM" if (family, attack["steps"]) == ("BIM", 1) else f"{family}-{attack['steps']}"
    more = [f"{attack['restarts']} starts"] if attack["restarts"] > 1 else []
    more += ["margin loss"] if attack["loss"] == "margin" else []
    return f"{name} ({', '.join(more)})" if more else name


def _group(run: Run, tasks: Sequence[TaskResult]) -> list[TaskLine]:
    lines = [_line(run, task, place == 0) for place, task in enumerate(tasks)]
    threat = tasks[0].threat
    worst = getattr(run.results, threat) if threat in _WORST_CASES else None
    if worst is not None:
        how, cell = "the worst case of these, image by image", Cell.of(worst, run.results.n)
        last = lines[-1]._replace(name=threat, how=how, cell=cell, worst=True)
        lines.append(last._replace(images=None, whom="", seconds=None))
    return lines


def _line(run: Run, task: TaskResult, first: bool) -> TaskLine:
    whom = "clean-correct" if task.standalone or first else "survivors"
    attack = task.settings.get("attack", task.settings)
    epsilon = attack.get("epsilon")
    norm = attack.get("norm", "linf") if epsilon is not None else ""
    return TaskLine(
        name=task.name,
        how=_how(task.settings),
        norm=_NORMS.get(norm, norm),
        epsilon="" if epsilon is None else _budget(norm, epsilon),
        images=task.images,
        whom=whom if task.threat else "all",
        cell=Cell.of(task.accuracy, run.results.n),
        seconds=run.seconds.get(task.name),
    )


def _how(settings: Mapping[str, Any]) -> str:
    if "attack" in settings:
        return attack_in_words(settings["attack"])
    if "part" in settings:
        return f"AutoAttack: {settings['part']}"
    if "draws" in settings:
        turned, moved = settings["degrees"], 100 * settings["shift"]
        return f"worst of {settings['draws']}: turned up to {turned:g}°, moved up to {moved:g}%"
    return ""


def _budget(norm: str, epsilon: float) -> str:
    return as_text("epsilon", epsilon) if norm == "linf" else f"{epsilon:g}"


def _corrupts(task: TaskResult) -> bool:
    return "severity" in task.settings


def _corruptions(run: Run, tasks: Sequence[TaskResult]) -> list[CorruptionLine]:
    lines = []
    for kind, of_kind in groupby(tasks, key=lambda task: str(task.settings["kind"])):
        held = sorted(of_kind, key=lambda task: int(task.settings["severity"]))
        accuracies = [100 * task.accuracy for task in held]
        mean = sum(accuracies) / len(accuracies)
        lines.append(CorruptionLine(kind, accuracies, mean, _total(run, held)))
    return lines


def _total(run: Run, tasks: Sequence[TaskResult]) -> float | None:
    known = [run.seconds[task.name] for task in tasks if task.name in run.seconds]
    return sum(known) if len(known) == len(tasks) else None
