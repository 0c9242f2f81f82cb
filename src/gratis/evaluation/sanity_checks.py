"""Sanity checks of an evaluation: signs of masked gradients and of overfitting to single steps.

The signs are those of Athalye, Carlini and Wagner 2018 (section 3.1) and of Carlini et al. 2019
(section 4). Every check is a function of the same :class:`SanityAttacks`, listed in ``CHECKS``. A
difference between two attacks counts only if a paired test on the same images finds it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gratis.evaluation.attack_comparisons import (
    MASKED,
    ODD,
    at_least,
    huge_epsilon,
    iterations,
    noise,
    share,
    significantly_more,
    single_step,
    transfer,
)
from gratis.evaluation.directional_derivatives import (
    DIRECTIONS,
    agreement,
    along_gradient,
)
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.sanity_attacks import MANY, SanityAttacks, run_sanity_attacks
from gratis.evaluation.vanishing_gradients import VANISHED
from gratis.results import Check, overfitted
from gratis.results.statistics import wilson

# The number of images of the checks: few enough to be cheap, and enough to see 5%.
IMAGES = 200

# Of the range of the logits; batches and devices round a thousand times less.
_UNSTEADY = 1e-3

_CUT_OFF = (
    "logits are cut off, so an attack cannot tell how far beyond the limit they are; return them "
    "as they are before the clamp"
)

# The least correlation of finite differences with the gradient, and the least of them along it, as
# a share of what it predicts. Sound networks have 0.96 and 0.99 or more.
_AGREEMENT = 0.9


def run_checks(
    evaluated: EvaluatedModel, index: NDArray[np.int64], epsilon: float, batch_size: int
) -> tuple[Check, ...]:
    """Return the sanity checks of a model on the images at ``index``.

    A model that is no better than guessing gets two checks: that one, and ``repeatable``.
    """
    attacks = run_sanity_attacks(evaluated, index, epsilon, batch_size)
    weak = too_weak(attacks)
    if weak is not None:
        return repeatable(attacks), weak
    checks = (check(attacks) for check in CHECKS)
    return tuple(check for check in checks if check is not None)


def too_weak(attacks: SanityAttacks) -> Check | None:
    """Check that the model is better than guessing; ``None`` if it is.

    A model that is not is correct by luck, whatever the image shows. That attacks do not change
    this says nothing about its gradients.
    """
    accuracy = attacks.correct / attacks.images
    if wilson(accuracy, attacks.images)[0] > attacks.guessing:
        return None
    return Check(
        name="better than guessing",
        passed=False,
        figures={"accuracy without an attack": accuracy, "accuracy of guessing": attacks.guessing},
        rule="fails if the accuracy is not significantly above that of always naming the most "
        "frequent class",
        advice="the model is too weak to judge: no accuracy under attack means anything yet, and "
        "its gradients are not examined; train it longer, or measure on more images",
        images=attacks.images,
    )


def repeatable(attacks: SanityAttacks) -> Check:
    """Check that the model gives the same logits twice."""
    return Check(
        name="repeatable",
        passed=attacks.unsteady <= _UNSTEADY,
        figures={"change of the logits": attacks.unsteady},
        rule=f"fails above {_UNSTEADY:.1%} of the range of the logits; rounding changes far less",
        advice="the model draws random numbers; switch that off, or attack the mean of its "
        "gradients and logits over many draws (EOT)",
        images=attacks.images,
    )


def gradient(attacks: SanityAttacks) -> Check:
    """Check that the input gradients are large enough to follow."""
    low = {name: at_least(flags) for name, flags in attacks.vanished.items()}
    advice = f"{MASKED} through a smooth approximation of the step that has no gradient (BPDA)"
    if low["margin"] <= ODD < low["logit"]:
        advice = _CUT_OFF
    return Check(
        name="gradient",
        passed=max(low.values()) <= ODD,
        figures={f"vanished, {name}": share(flags) for name, flags in attacks.vanished.items()},
        rule=f"fails if for significantly more than {ODD:.0%} of the images the gradient of a "
        "loss, of the label's logit or of the highest other logit is not above "
        f"{VANISHED:g}; smaller ones are lost in float32",
        advice=advice,
        images=attacks.correct,
    )


def directional_derivatives(attacks: SanityAttacks) -> Check | None:
    """Check that the loss changes as the gradient predicts; ``None`` for a random model."""
    if attacks.unsteady > _UNSTEADY:
        return None
    found, along = agreement(attacks.changes), along_gradient(attacks.changes)
    return Check(
        name="directional derivatives",
        passed=min(found, along) >= _AGREEMENT,
        figures={"correlation": found, "along the gradient": along},
        rule=f"fails if finite differences of the margin loss along {DIRECTIONS} random directions "
        f"have a correlation below {_AGREEMENT:g} with what the gradient predicts, or are along "
        f"its signs less than {_AGREEMENT:g} of that",
        advice="the model returns a gradient that is not that of its loss, so no attack that "
        "follows it counts; attack without gradients (Square, in the suites standard, autoattack "
        "and full), or remove what changes the gradient",
        images=attacks.correct,
    )


def overfitting(attacks: SanityAttacks) -> Check:
    """Check that the model does not survive single steps only."""
    survive = {name: attacks.correct - int(attacks.fooled[name].sum()) for name in ("fgsm", "many")}
    n = attacks.images
    fgsm, pgd = (count / n for count in survive.values())
    passed = not (
        overfitted(attacks.correct / n, fgsm, pgd, n, attacks.guessing)
        and 2 * survive["fgsm"] > attacks.correct
        and significantly_more(attacks.fooled["many"], attacks.fooled["fgsm"])
    )
    return Check(
        name="catastrophic overfitting",
        passed=passed,
        figures={"accuracy under FGSM": fgsm, f"accuracy under PGD-{MANY}": pgd},
        rule="fails if most of the correct images survive FGSM, and PGD leaves less than half of "
        "those and 15 points fewer; a model without any defence is fooled by FGSM too",
        advice="the model survives single steps only; train it again with a smaller step, noise "
        "before the step (N-FGSM) or more steps, and stop when the held-out PGD accuracy falls",
        images=attacks.images,
    )


CHECKS: tuple[Callable[[SanityAttacks], Check | None], ...] = (
    repeatable,
    gradient,
    directional_derivatives,
    single_step,
    iterations,
    transfer,
    noise,
    huge_epsilon,
    overfitting,
)
