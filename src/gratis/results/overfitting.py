"""Catastrophic overfitting: models that survive single-step attacks only."""

from collections.abc import Iterable

from gratis.results.statistics import clearly_above_chance, wilson


def overfitted(
    clean: float | None, fgsm: float | None, pgd: float | None, images: int, guessing: float
) -> bool:
    """Return whether a model survives single-step attacks only (Wong, Rice and Kolter 2020).

    The rule: PGD accuracy is more than 15 points below FGSM accuracy and less than half of it,
    their 95% intervals do not overlap, and the accuracy without an attack is clearly above
    ``guessing``, the accuracy of always naming the most frequent class. Without one of the
    accuracies the answer is no. A model that is only becoming robust can have this sign too; see
    :func:`pgd_fell`.
    """
    if clean is None or fgsm is None or pgd is None:
        return False
    return (
        fgsm - pgd > 0.15
        and pgd < fgsm / 2
        and wilson(pgd, images)[1] < wilson(fgsm, images)[0]
        and clearly_above_chance(clean, images, guessing)
    )


def pgd_fell(before: Iterable[float], pgd: float, images: int) -> bool:
    """Return whether PGD accuracy is less than half of the best before, beyond noise."""
    best = max(before, default=0.0)
    return pgd < best / 2 and wilson(pgd, images)[1] < wilson(best, images)[0]
