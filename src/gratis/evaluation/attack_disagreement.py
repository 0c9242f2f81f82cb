"""Sanity checks on the attacks of a suite: what PGD on cross entropy misses, and others find.

On sound models the attacks of a cascade differ little. These checks need no further attack, and use
all images that were measured.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gratis.evaluation.attack_comparisons import at_least, share
from gratis.results import Check

Flags = NDArray[np.bool_]

# PGD on the margin loss usually fools a quarter of what survives PGD on cross entropy, and more of
# few survivors: on robust models of many classes both differ by five points.
_OF_SURVIVORS, _AT_LEAST = 1 / 3, 0.05
# On sound models Square Attack adds up to 0.5% of the correct images.
_BY_SQUARE = 0.02


def attack_disagreement(
    correct: Mapping[str, Flags], included: Mapping[str, Flags]
) -> tuple[Check, ...]:
    """Return the checks of the attacks in a cascade, of those that the suite has."""
    checks = {"pgd_margin": margin_loss, "square": square}
    return tuple(
        check(correct["clean"], included[task], correct[task])
        for task, check in checks.items()
        if task in correct
    )


def margin_loss(clean: Flags, before: Flags, after: Flags) -> Check:
    """Check that PGD on the margin loss adds little to the attacks before it."""
    fooled = before & ~after
    too_many = at_least(fooled[before]) > _OF_SURVIVORS and at_least(fooled[clean]) > _AT_LEAST
    return Check(
        name="margin against cross entropy",
        passed=not too_many,
        figures={
            "survive before": share(before[clean]),
            "survive the margin loss too": share(after[clean]),
        },
        rule="fails if PGD on the margin loss fools significantly more than a third of the images "
        f"that survive the attacks before it, and than {_AT_LEAST:.0%} of the correct images",
        advice="cross entropy hides the gradient; quote the accuracy under "
        "all attacks (robust), and attack with AutoAttack",
        images=int(clean.sum()),
    )


def square(clean: Flags, before: Flags, after: Flags) -> Check:
    """Check that a search without gradients fools few images that attacks with gradients do not."""
    fooled = before & ~after
    return Check(
        name="square against gradients",
        passed=at_least(fooled[clean]) <= _BY_SQUARE,
        figures={"fooled by Square Attack only": share(fooled[clean])},
        rule=f"fails if Square Attack fools significantly more than {_BY_SQUARE:.0%} of the "
        "correct images in addition to the attacks before it",
        advice="random search finds what attacks that follow the gradient miss, so the gradient "
        "misleads and stronger attacks will find more; do not quote this accuracy, and remove what "
        "changes the gradient",
        images=int(clean.sum()),
    )
