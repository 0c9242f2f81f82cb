"""The trials of a suite one by one: how each was held, whom it faced, what stood it, its time."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from gratis.report.rows import WORST, Cell, as_text
from gratis.report.runs import Run
from gratis.results import METRICS, TrialResult

_NORMS = {"linf": "L-infinity", "l2": "L2"}
# The threats whose worst case results hold under its own name.
_WORST_CASES = (WORST, "robust_l2")


class TrialLine(NamedTuple):
    """One trial: ``how`` it was held, and its norm and epsilon, in words; empty for what has none.

    ``faced`` counts the images it was held on, ``whom`` says which those are; of a worst case over
    several trials, which is ``worst``, they and the ``seconds`` are ``None``.
    """

    name: str
    how: str
    norm: str
    epsilon: str
    faced: int | None
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
    """All trials of one run, by what they threaten, and its corruptions apart from them."""

    title: str
    suite: str
    n: int
    seconds: float | None
    groups: Sequence[Sequence[TrialLine]]
    corruptions: Sequence[CorruptionLine]
    mean_corruption: float | None


def suite_view(run: Run, title: str) -> SuiteView | None:
    """Return the trials of a run, or ``None`` where they are no more than the table's metrics."""
    trials = run.results.trials
    if not {trial.name for trial in trials} - set(METRICS):
        return None
    plain = [trial for trial in trials if not _corrupts(trial)]
    threats = dict.fromkeys(trial.threat for trial in plain)
    mean = run.results.corruptions
    return SuiteView(
        title=title,
        suite=run.results.suite,
        n=run.results.n,
        seconds=_total(run, trials),
        groups=[_group(run, [t for t in plain if t.threat == threat]) for threat in threats],
        corruptions=_corruptions(run, [trial for trial in trials if _corrupts(trial)]),
        mean_corruption=None if mean is None else 100 * mean,
    )


def attack_in_words(attack: Mapping[str, Any]) -> str:
    """Return what papers call a gradient attack, from its settings as results hold them."""
    family = "PGD" if attack["random_start"] else "BIM"
    name = "FGSM" if (family, attack["steps"]) == ("BIM", 1) else f"{family}-{attack['steps']}"
    more = [f"{attack['restarts']} starts"] if attack["restarts"] > 1 else []
    more += ["margin loss"] if attack["loss"] == "margin" else []
    return f"{name} ({', '.join(more)})" if more else name


def _group(run: Run, trials: Sequence[TrialResult]) -> list[TrialLine]:
    lines = [_line(run, trial, place == 0) for place, trial in enumerate(trials)]
    threat = trials[0].threat
    worst = getattr(run.results, threat) if threat in _WORST_CASES else None
    if worst is not None:
        how, cell = "the worst case of these, image by image", Cell.of(worst, run.results.n)
        last = lines[-1]._replace(name=threat, how=how, cell=cell, worst=True)
        lines.append(last._replace(faced=None, whom="", seconds=None))
    return lines


def _line(run: Run, trial: TrialResult, first: bool) -> TrialLine:
    whom = "clean-correct" if trial.apart or first else "survivors"
    attack = trial.settings.get("attack", trial.settings)
    epsilon = attack.get("epsilon")
    norm = attack.get("norm", "linf") if epsilon is not None else ""
    return TrialLine(
        name=trial.name,
        how=_how(trial.settings),
        norm=_NORMS.get(norm, norm),
        epsilon="" if epsilon is None else _budget(norm, epsilon),
        faced=trial.faced,
        whom=whom if trial.threat else "all",
        cell=Cell.of(trial.accuracy, run.results.n),
        seconds=run.seconds.get(trial.name),
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


def _corrupts(trial: TrialResult) -> bool:
    return "severity" in trial.settings


def _corruptions(run: Run, trials: Sequence[TrialResult]) -> list[CorruptionLine]:
    lines = []
    for kind, of_kind in groupby(trials, key=lambda trial: str(trial.settings["kind"])):
        held = sorted(of_kind, key=lambda trial: int(trial.settings["severity"]))
        accuracies = [100 * trial.accuracy for trial in held]
        mean = sum(accuracies) / len(accuracies)
        lines.append(CorruptionLine(kind, accuracies, mean, _total(run, held)))
    return lines


def _total(run: Run, trials: Sequence[TrialResult]) -> float | None:
    known = [run.seconds[trial.name] for trial in trials if trial.name in run.seconds]
    return sum(known) if len(known) == len(trials) else None
