"""Can an accuracy under attack be believed? Signs of masked gradients and of overfitting.

The signs are those of Athalye, Carlini and Wagner 2018 (section 3.1) and of Carlini et al. 2019
(section 4). Each check is one function from the same :class:`Evidence`; a difference between two
attacks counts only where a paired test on the same images finds it.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.evidence import DRAWS, FEW, HUGE, MANY, VANISHED, Evidence, Flags, gather
from gratis.results import Check, collapsed
from gratis.results.statistics import mcnemar, wilson

# On so many images the checks are held: few enough to be cheap, and enough to see 5%.
IMAGES = 200

# A difference between attacks is one below this p-value: of all sound models one in two hundred,
# at most, is accused by one check.
_P = 0.01
# What a sound model may have of images that behave oddly.
_ODD = 0.05
# Of the spread of the logits; batches and devices round a thousand times less.
_UNSTEADY = 1e-3

_MASKED = "the gradients are masked; do not quote this accuracy, and attack"


def run_checks(
    evaluated: EvaluatedModel, index: NDArray[np.int64], epsilon: float, batch_size: int
) -> tuple[Check, ...]:
    """Return every check of a model on the images at ``index``.

    Of a model that is no better than guessing nothing is asked but whether it repeats itself.

    Args:
        evaluated: the model, frozen, and its split.
        index: a few of the measured images, places in the split.
        epsilon: the L-infinity budget of the attacks, in [0, 1] units of pixel value.
        batch_size: images at a time.
    """
    evidence = gather(evaluated, index, epsilon, batch_size)
    weak = too_weak(evidence)
    if weak is not None:
        return repeatable(evidence), weak
    checks = (check(evidence) for check in CHECKS)
    return tuple(check for check in checks if check is not None)


def too_weak(seen: Evidence) -> Check | None:
    """Is the model no better than guessing, so that the attacks show nothing? Else ``None``.

    What such a model gets right it gets right by luck, whatever the image shows: attacks that do
    not change that say nothing about its gradients.
    """
    accuracy = seen.right / seen.asked
    if wilson(accuracy, seen.asked)[0] > seen.guessing:
        return None
    return Check(
        name="better than guessing",
        passed=False,
        figures={"accuracy without an attack": accuracy, "accuracy of guessing": seen.guessing},
        rule="fails where the accuracy is not surely above that of always naming the most "
        "frequent class",
        advice="the model is too weak to judge: no accuracy under attack means anything yet, and "
        "its gradients are not examined; train it longer, or measure on more images",
        images=seen.asked,
    )


def repeatable(seen: Evidence) -> Check:
    """Does the model give the same answer twice?"""
    return Check(
        name="repeatable",
        passed=seen.unsteady <= _UNSTEADY,
        figures={"change of the logits": seen.unsteady},
        rule=f"fails above {_UNSTEADY:.1%} of the logits' spread: rounding changes far less",
        advice="the model draws random numbers; switch that off, or attack the mean of its "
        "gradients and logits over many draws (EOT)",
        images=seen.asked,
    )


def gradient(seen: Evidence) -> Check:
    """Is there a gradient to follow?"""
    low = {name: _surely(flags) for name, flags in seen.vanished.items()}
    saturated = low["margin"] <= _ODD
    remedy = (
        "cross entropy is saturated; divide the logits by a constant, and trust the margin loss "
        "and AutoAttack only"
        if saturated
        else f"{_MASKED} through a smooth stand-in for the step that has no gradient (BPDA)"
    )
    return Check(
        name="gradient",
        passed=max(low.values()) <= _ODD,
        figures={
            f"vanished, {name.replace('_', ' ')}": _share(flags)
            for name, flags in seen.vanished.items()
        },
        rule=f"fails where surely more than {_ODD:.0%} of the images have no input gradient above "
        f"{VANISHED:g}: below, float32 loses it",
        advice=remedy,
        images=seen.right,
    )


def single_step(seen: Evidence) -> Check:
    """Is FGSM stronger than PGD, which may take the same step and more?"""
    return _stronger(
        seen,
        "fgsm against pgd",
        ("fgsm", "many"),
        f"{_MASKED} with more restarts, a smaller step, the margin loss and AutoAttack",
    )


def iterations(seen: Evidence) -> Check:
    """Are many steps weaker than a few?"""
    return _stronger(
        seen,
        "more steps",
        ("few", "many"),
        f"{_MASKED} with other step sizes, the margin loss and AutoAttack",
    )


def transfer(seen: Evidence) -> Check | None:
    """Is another model's FGSM stronger than PGD through the model itself? Needs a transfer set."""
    if "transfer" not in seen.fooled:
        return None
    return _stronger(
        seen,
        "transfer against white box",
        ("transfer", "many"),
        f"{_MASKED} through a substitute: gradients of an undefended model fool this one better "
        "than its own",
    )


def noise(seen: Evidence) -> Check:
    """Is random noise as strong as the attack?"""
    drawn, attacked = seen.fooled["noise"], seen.fooled["many"]
    works, stands = _surely(drawn) > _ODD, _surely(~attacked) > _ODD
    as_strong = works and stands and drawn.sum() >= attacked.sum()
    return Check(
        name="random noise",
        passed=not (as_strong or _more(drawn, attacked)),
        figures={
            f"fooled by {DRAWS} draws": _share(drawn),
            f"fooled by PGD-{MANY}": _share(attacked),
        },
        rule=f"fails where noise fools more images than PGD, p < {_P:g} in a paired test, or as "
        f"many, and both sides are surely above {_ODD:.0%}: PGD starts from noise and climbs",
        advice=f"{_MASKED} without gradients (Square, in the suites autoattack and full)",
        images=seen.right,
    )


def huge_epsilon(seen: Evidence) -> Check:
    """Does any image stand where every image can be turned into a grey one?"""
    standing = ~seen.fooled["huge"]
    return Check(
        name="huge epsilon",
        passed=_surely(standing) <= _ODD,
        figures={f"stand at epsilon {HUGE:g}": _share(standing)},
        rule=f"fails where surely more than {_ODD:.0%} of the images stand PGD-{MANY} at epsilon "
        f"{HUGE:g}: there it can turn every image into any other of half the contrast",
        advice=f"{_MASKED} with the margin loss, without gradients (Square), or through a smooth "
        "stand-in for whatever stops the gradient (BPDA)",
        images=seen.right,
    )


def overfitting(seen: Evidence) -> Check:
    """Has the model learned to withstand single steps only?"""
    stood = {name: seen.right - int(seen.fooled[name].sum()) for name in ("fgsm", "many")}
    fgsm, pgd = (count / seen.asked for count in stood.values())
    passed = not (
        collapsed(fgsm, pgd)
        and 2 * stood["fgsm"] > seen.right
        and _more(seen.fooled["many"], seen.fooled["fgsm"])
    )
    return Check(
        name="catastrophic overfitting",
        passed=passed,
        figures={"accuracy under FGSM": fgsm, f"accuracy under PGD-{MANY}": pgd},
        rule="fails where FGSM leaves most images that are right and PGD less than half of those, "
        "15 points fewer; a model without any defence falls to FGSM too",
        advice="the model withstands single steps only; train it again with a smaller step, noise "
        "before the step (N-FGSM) or more steps, and stop where held-out PGD accuracy falls",
        images=seen.asked,
    )


CHECKS: tuple[Callable[[Evidence], Check | None], ...] = (
    repeatable,
    gradient,
    single_step,
    iterations,
    transfer,
    noise,
    huge_epsilon,
    overfitting,
)

_WORDS = {
    "fgsm": "fooled by FGSM",
    "few": f"fooled by PGD-{FEW}",
    "many": f"fooled by PGD-{MANY}",
    "transfer": "fooled by transfer",
}
_Attack = Literal["fgsm", "few", "many", "transfer"]


def _stronger(seen: Evidence, name: str, pair: tuple[_Attack, _Attack], advice: str) -> Check:
    """Check that the first attack of a pair does not fool more images than the second."""
    weak, strong = (seen.fooled[attack] for attack in pair)
    return Check(
        name=name,
        passed=not _more(weak, strong),
        figures={_WORDS[attack]: _share(seen.fooled[attack]) for attack in pair},
        rule=f"fails where the first fools more images than the second, p < {_P:g} in a paired "
        "test on the same images",
        advice=advice,
        images=seen.right,
    )


def _more(one: Flags, other: Flags) -> bool:
    """Return whether ``one`` holds for more images than ``other``, beyond chance."""
    return bool(one.sum() > other.sum() and mcnemar(one, other) < _P)


def _share(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _surely(flags: Flags) -> float:
    """Return the lower end of the interval of a share: 0 without images, so none is accused."""
    return wilson(_share(flags), len(flags))[0] if len(flags) else 0.0
