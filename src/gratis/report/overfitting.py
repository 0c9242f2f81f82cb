"""What a page says about catastrophic overfitting, and from what."""

from collections.abc import Sequence

from gratis.report.checks import figures
from gratis.report.rows import COLLAPSED, Row
from gratis.report.runs import Run, setting
from gratis.results import Check, Results, collapsed

CHECK = "catastrophic overfitting"


def overfitting(runs: Sequence[Run], seeds: bool) -> list[str]:
    """Return what there is to say, in sentences.

    The sanity check decides where a run has it: it knows on which images FGSM and PGD differ, and
    tells a model without any defence apart. Elsewhere, for runs that were trained under attack,
    the accuracies of the table do (:func:`gratis.results.collapsed`).

    Args:
        runs: all of them.
        seeds: whether a seed must say which run of a model is meant.
    """
    trained = [run for run in runs if _meets_attacks(run.results)]
    said = [sign for run in runs if (sign := _sign(run, seeds))]
    if any(_unseen(run.results) for run in trained):
        said.append("Where FGSM or PGD was not measured, catastrophic overfitting would not show.")
    if not said and trained:
        said.append("No model that was trained under attack shows catastrophic overfitting.")
    own = [run for run in runs if not run.results.external]
    if own and not trained:
        models = "these models" if len(own) == len(runs) else "the models that were trained here"
        said.append(f"None of {models} was trained under attack.")
    return said + _elsewhere(runs)


def _sign(run: Run, seeds: bool) -> str | None:
    """Return the sentence on a run that shows, or showed, catastrophic overfitting."""
    name = f"“{run.results.title}”" + (f" (seed {run.results.seed})" if seeds else "")
    check = _check(run.results)
    if check is not None and not check.passed:
        return (
            f"{name} shows catastrophic overfitting: on the {check.images} images of the sanity "
            f"check it withstands a single step and falls to many ({', '.join(figures(check))})."
        )
    if not _meets_attacks(run.results):
        return None
    row = Row((run.results,))
    if check is None and row.mark_of("fgsm") == COLLAPSED:
        fgsm, pgd = (100 * getattr(run.results, metric) for metric in ("fgsm", "pgd"))
        return (
            f"{name} shows catastrophic overfitting: it withstands a single step "
            f"(FGSM {fgsm:.1f}%) and falls to several (PGD {pgd:.1f}%)."
        )
    if (epoch := _collapsed_in_training(run)) is None:
        return None
    return (
        f"{name} showed catastrophic overfitting in training, on held-out images, after epoch "
        f"{epoch:.1f}; at the end it does not."
    )


def _check(results: Results) -> Check | None:
    return next((check for check in results.checks if check.name == CHECK), None)


def _unseen(results: Results) -> bool:
    return _check(results) is None and None in (results.fgsm, results.pgd)


def _elsewhere(runs: Sequence[Run]) -> list[str]:
    """Return what is known of the training of models that were made elsewhere."""
    external = [run.results for run in runs if run.results.external]
    if not external:
        return []
    names = ", ".join(dict.fromkeys(f"“{results.title}”" for results in external))
    said = f"Whether {names} met attacks in training is not known here"
    checks = [_check(results) for results in external]
    if all(check is not None and check.passed for check in checks):
        said += "; the sanity check finds no catastrophic overfitting"
    return [f"{said}."]


def _collapsed_in_training(run: Run) -> float | None:
    for line in run.log:
        seen = line.held_out or {}
        if {"fgsm", "pgd"} <= seen.keys() and collapsed(seen["fgsm"], seen["pgd"]):
            return line.epoch
    return None


def _meets_attacks(results: Results) -> bool:
    return setting(results, "adversary") not in (None, "natural", {"natural": {}})
