"""The remarks below a report's summary: failed checks, catastrophic overfitting, subsets."""

from collections.abc import Sequence

from gratis.report.rows import OVERFITTED, Row
from gratis.report.runs import Run, setting
from gratis.report.sections import figures
from gratis.results import Check, Results, overfitted, pgd_fell

OVERFITTING = "catastrophic overfitting"


def failed_checks(runs: Sequence[Run], seeds: bool) -> list[str]:
    """Return the remark on runs that failed sanity checks; none if all passed."""
    failed = [
        f"{_named(run, seeds)} failed {', '.join(c.name for c in run.results.failed_checks)}"
        for run in runs
        if run.results.failed_checks
    ]
    if not failed:
        return []
    reason = "Sanity checks failed, so the accuracy under attack is not reliable"
    return [f"{reason}: {'; '.join(failed)}."]


def overfitting(runs: Sequence[Run], seeds: bool) -> list[str]:
    """Return the remarks on catastrophic overfitting.

    The sanity check decides for a run that has it: it compares FGSM and PGD image by image, and
    passes a model without any defence. For the other runs that were trained under attack, the
    accuracies of the table decide (:func:`gratis.results.overfitted`). A model whose PGD accuracy
    never fell in training is not robust yet.
    """
    trained = [run for run in runs if not run.results.external]
    attacked = [run for run in trained if _attacked_in_training(run.results)]
    remarks = [remark for run in runs if (remark := _overfits(run, seeds))]
    if any(_check(r.results) is None and None in (r.results.fgsm, r.results.pgd) for r in attacked):
        remarks.append("Without FGSM and PGD results, catastrophic overfitting is not visible.")
    if attacked and not remarks:
        remarks.append("No model that was trained under attack shows catastrophic overfitting.")
    if trained and not attacked:
        models = "these models" if len(trained) == len(runs) else "the models that are runs"
        remarks.append(f"None of {models} was trained under attack.")
    return remarks + _external(runs)


def _named(run: Run, seeds: bool) -> str:
    return f"“{run.results.title}”" + (f" (seed {run.results.seed})" if seeds else "")


def _overfits(run: Run, seeds: bool) -> str | None:
    """Return the remark on a run that shows, or showed, catastrophic overfitting."""
    results, name, check = run.results, _named(run, seeds), _check(run.results)
    shows = "shows catastrophic overfitting"
    history = [line.held_out["pgd"] for line in run.log if line.held_out and "pgd" in line.held_out]
    if history and not pgd_fell(history, results.pgd or 0.0, _held_out_images(results)):
        shows = "is not robust yet"
    if check is not None and not check.passed:
        return (
            f"{name} {shows}: on the {check.images} images of the sanity "
            f"check it survives a single step and fails under many ({figures(check)})."
        )
    if not _attacked_in_training(results):
        return None
    if check is None and Row((results,)).mark_of("fgsm") == OVERFITTED:
        assert results.fgsm is not None and results.pgd is not None
        return (
            f"{name} {shows}: it survives a single step (FGSM "
            f"{100 * results.fgsm:.1f}%) and fails under several (PGD {100 * results.pgd:.1f}%)."
        )
    if (epoch := _overfitted_in_training(run)) is None:
        return None
    return (
        f"{name} showed catastrophic overfitting in training, on held-out images, after epoch "
        f"{epoch:.1f}; at the end it does not."
    )


def _check(results: Results) -> Check | None:
    return next((check for check in results.checks if check.name == OVERFITTING), None)


def _external(runs: Sequence[Run]) -> list[str]:
    external = [run.results for run in runs if run.results.external]
    if not external:
        return []
    names = ", ".join(dict.fromkeys(f"“{results.title}”" for results in external))
    checks = [_check(results) for results in external]
    passed = all(check is not None and check.passed for check in checks)
    more = "; the sanity check finds no catastrophic overfitting" if passed else ""
    return [f"Whether the training of {names} included attacks is unknown{more}."]


def _overfitted_in_training(run: Run) -> float | None:
    images, before = _held_out_images(run.results), list[float]()
    for line in run.log:
        found = line.held_out or {}
        if (pgd := found.get("pgd")) is None:
            continue
        single_steps_only = overfitted(
            found.get("clean"), found.get("fgsm"), pgd, images, 1 / run.results.classes
        )
        if single_steps_only and pgd_fell(before, pgd, images):
            return line.epoch
        before.append(pgd)
    return None


def _held_out_images(results: Results) -> int:
    return (setting(results, "train", "held_out_per_class") or 5) * results.classes


def _attacked_in_training(results: Results) -> bool:
    return setting(results, "adversary") not in (None, "natural", {"natural": {}})
