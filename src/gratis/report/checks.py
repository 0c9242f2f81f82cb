"""The sanity checks as a page shows them: what each looked for, what it found, what to do."""

from collections.abc import Sequence
from typing import NamedTuple

from gratis.report.runs import Run
from gratis.results import Check

# What a model that passes the check shows.
WORDS = {
    "repeatable": "the same image gets the same answer twice",
    "better than guessing": "it has learned something that an attack could take away",
    "gradient": "there is a gradient for an attack to follow",
    "fgsm against pgd": "many small steps are no weaker than a single large one",
    "more steps": "many steps are no weaker than a few",
    "transfer against white box": "its own gradients fool it no less than another model's",
    "random noise": "the attack does better than random noise",
    "huge epsilon": "an attack that may turn every image grey leaves none right",
    "catastrophic overfitting": "what withstands a single step withstands many",
}


class CheckLine(NamedTuple):
    """One check: its name, what it looked for, and each figure that it found, in words.

    ``images`` is on how many it was held; ``remedy`` holds the rule and the advice in sentences,
    empty where it passed.
    """

    name: str
    words: str
    passed: bool
    figures: Sequence[str]
    images: int
    remedy: str


class CheckedRun(NamedTuple):
    """The checks of one run, under its title, and how many of them failed."""

    title: str
    failed: int
    lines: Sequence[CheckLine]


def checked_run(run: Run, title: str) -> CheckedRun | None:
    """Return the checks of a run, or ``None`` where its suite has none."""
    checks = run.results.checks
    if not checks:
        return None
    return CheckedRun(title, len(run.results.failed_checks), [_line(check) for check in checks])


def figures(check: Check) -> list[str]:
    """Return what a check found, each figure with its name; shares as percentages."""
    return [f"{name} {100 * share:.3g}%" for name, share in check.figures.items()]


def failures(runs: Sequence[Run], seeds: bool) -> list[str]:
    """Return the remark on runs that failed checks, none if all passed.

    Args:
        runs: all of them.
        seeds: whether a seed must say which run of a model is meant.
    """
    failed = [_named(run, seeds) for run in runs if run.results.failed_checks]
    if not failed:
        return []
    whose = "its" if len(failed) == 1 else "their"
    return [
        f"Sanity checks failed; {whose} accuracy under attack cannot be taken at face value: "
        f"{'; '.join(failed)}."
    ]


def _named(run: Run, seeds: bool) -> str:
    seed = f", seed {run.results.seed}" if seeds else ""
    return f"“{run.results.title}”{seed} ({', '.join(c.name for c in run.results.failed_checks)})"


def _line(check: Check) -> CheckLine:
    words = WORDS.get(check.name, check.name)
    remedy = "" if check.passed else f"{_sentence(check.rule)} {_sentence(check.advice)}"
    return CheckLine(check.name, words, check.passed, figures(check), check.images, remedy)


def _sentence(text: str) -> str:
    text = f"it {text}" if text.startswith("fails ") else text
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
