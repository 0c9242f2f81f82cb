"""Sanity checks of an evaluation: signs of masked gradients and of overfitting to single steps.

The signs are those of Athalye, Carlini and Wagner 2018 (section 3.1) and of Carlini et al. 2019
(section 4). Every check is a function of the same :class:`Evidence`, listed in ``CHECKS``. A
difference between two attacks counts only if a paired test on the same images finds it.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.evidence import DRAWS, FEW, HUGE, MANY, VANISHED, Evidence, Flags, gather
from gratis.results import Check, collapsed
from gratis.results.statistics import mcnemar, wilson

# The number of images of the checks: few enough to be cheap, and enough to see 5%.
IMAGES = 200

# The p-value below which two attacks differ: a check fails for at most one sound model in 200.
_P = 0.01
# The share of images that may behave oddly in a sound model.
_ODD = 0.05
# Of the range of the logits; batches and devices round a thousand times less.
_UNSTEADY = 1e-3

_MASKED = "the gradients are masked; do not quote this accuracy, and attack"


def run_checks(
    evaluated: EvaluatedModel, index: NDArray[np.int64], epsilon: float, batch_size: int
) -> tuple[Check, ...]:
    """Return the sanity checks of a model on the images at ``index``.

    A model that is no better than guessing gets two checks: that one, and ``repeatable``.

    Args:
        evaluated: the model, frozen, and its split.
        index: the indices of a few measured images in the split.
        epsilon: the epsilon of the attacks in L-infinity, in [0, 1] units of pixel value.
        batch_size: images at a time.
    """
    evidence = gather(evaluated, index, epsilon, batch_size)
    weak = too_weak(evidence)
    if weak is not None:
        return repeatable(evidence), weak
    checks = (check(evidence) for check in CHECKS)
    return tuple(check for check in checks if check is not None)


def too_weak(evidence: Evidence) -> Check | None:
    """Check that the model is better than guessing; ``None`` if it is.

    A model that is not is correct by luck, whatever the image shows. That attacks do not change
    this says nothing about its gradients.
    """
    accuracy = evidence.correct / evidence.images
    if wilson(accuracy, evidence.images)[0] > evidence.guessing:
        return None
    return Check(
        name="better than guessing",
        passed=False,
        figures={
            "accuracy without an attack": accuracy,
            "accuracy of guessing": evidence.guessing,
        },
        rule="fails if the accuracy is not significantly above that of always naming the most "
        "frequent class",
        advice="the model is too weak to judge: no accuracy under attack means anything yet, and "
        "its gradients are not examined; train it longer, or measure on more images",
        images=evidence.images,
    )


def repeatable(evidence: Evidence) -> Check:
    """Check that the model gives the same logits twice."""
    return Check(
        name="repeatable",
        passed=evidence.unsteady <= _UNSTEADY,
        figures={"change of the logits": evidence.unsteady},
        rule=f"fails above {_UNSTEADY:.1%} of the range of the logits; rounding changes far less",
        advice="the model draws random numbers; switch that off, or attack the mean of its "
        "gradients and logits over many draws (EOT)",
        images=evidence.images,
    )


def gradient(evidence: Evidence) -> Check:
    """Check that the input gradients are large enough to follow."""
    low = {name: _at_least(flags) for name, flags in evidence.vanished.items()}
    saturated = low["margin"] <= _ODD
    remedy = (
        "cross entropy is saturated; divide the logits by a constant, and trust the margin loss "
        "and AutoAttack only"
        if saturated
        else f"{_MASKED} through a smooth approximation of the step that has no gradient (BPDA)"
    )
    return Check(
        name="gradient",
        passed=max(low.values()) <= _ODD,
        figures={
            f"vanished, {name.replace('_', ' ')}": _share(flags)
            for name, flags in evidence.vanished.items()
        },
        rule=f"fails if significantly more than {_ODD:.0%} of the images have no input gradient "
        f"above {VANISHED:g}; smaller ones are lost in float32",
        advice=remedy,
        images=evidence.correct,
    )


def single_step(evidence: Evidence) -> Check:
    """Check that FGSM fools no more images than PGD, which can make the same step."""
    return _not_stronger(
        evidence,
        "fgsm against pgd",
        ("fgsm", "many"),
        f"{_MASKED} with more restarts, a smaller step, the margin loss and AutoAttack",
    )


def iterations(evidence: Evidence) -> Check:
    """Check that a few steps of PGD fool no more images than many."""
    return _not_stronger(
        evidence,
        "more steps",
        ("few", "many"),
        f"{_MASKED} with other step sizes, the margin loss and AutoAttack",
    )


def transfer(evidence: Evidence) -> Check | None:
    """Check that FGSM on another model fools no more images than PGD; ``None`` without that set."""
    if "transfer" not in evidence.fooled:
        return None
    return _not_stronger(
        evidence,
        "transfer against white box",
        ("transfer", "many"),
        f"{_MASKED} through a substitute: the gradients of an undefended model fool this one more "
        "often than its own",
    )


def noise(evidence: Evidence) -> Check:
    """Check that random noise fools fewer images than the attack."""
    drawn, attacked = evidence.fooled["noise"], evidence.fooled["many"]
    noise_works, some_survive = _at_least(drawn) > _ODD, _at_least(~attacked) > _ODD
    as_strong = noise_works and some_survive and drawn.sum() >= attacked.sum()
    return Check(
        name="random noise",
        passed=not (as_strong or _more(drawn, attacked)),
        figures={
            f"fooled by {DRAWS} draws": _share(drawn),
            f"fooled by PGD-{MANY}": _share(attacked),
        },
        rule=f"fails if noise fools more images than PGD, p < {_P:g} in a paired test, or as many "
        f"where significantly more than {_ODD:.0%} are fooled by noise and survive PGD; PGD "
        "starts from noise",
        advice=f"{_MASKED} without gradients (Square, in the suites autoattack and full)",
        images=evidence.correct,
    )


def huge_epsilon(evidence: Evidence) -> Check:
    """Check that no image survives an epsilon within which it can be turned into a grey one."""
    survivors = ~evidence.fooled["huge"]
    return Check(
        name="huge epsilon",
        passed=_at_least(survivors) <= _ODD,
        figures={f"survive epsilon {HUGE:g}": _share(survivors)},
        rule=f"fails if significantly more than {_ODD:.0%} of the images survive PGD-{MANY} at "
        f"epsilon {HUGE:g}, which can turn every image into any other of half the contrast",
        advice=f"{_MASKED} with the margin loss, without gradients (Square), or through a smooth "
        "approximation of the operation that stops the gradient (BPDA)",
        images=evidence.correct,
    )


def overfitting(evidence: Evidence) -> Check:
    """Check that the model does not survive single steps only."""
    survive = {
        name: evidence.correct - int(evidence.fooled[name].sum()) for name in ("fgsm", "many")
    }
    fgsm, pgd = (count / evidence.images for count in survive.values())
    passed = not (
        collapsed(fgsm, pgd)
        and 2 * survive["fgsm"] > evidence.correct
        and _more(evidence.fooled["many"], evidence.fooled["fgsm"])
    )
    return Check(
        name="catastrophic overfitting",
        passed=passed,
        figures={"accuracy under FGSM": fgsm, f"accuracy under PGD-{MANY}": pgd},
        rule="fails if most of the correct images survive FGSM, and PGD leaves less than half of "
        "those and 15 points fewer; a model without any defence is fooled by FGSM too",
        advice="the model survives single steps only; train it again with a smaller step, noise "
        "before the step (N-FGSM) or more steps, and stop when the held-out PGD accuracy falls",
        images=evidence.images,
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

_FIGURES = {
    "fgsm": "fooled by FGSM",
    "few": f"fooled by PGD-{FEW}",
    "many": f"fooled by PGD-{MANY}",
    "transfer": "fooled by transfer",
}
_Attack = Literal["fgsm", "few", "many", "transfer"]


def _not_stronger(
    evidence: Evidence, name: str, pair: tuple[_Attack, _Attack], advice: str
) -> Check:
    """Check that the first attack of a pair does not fool more images than the second."""
    weak, strong = (evidence.fooled[attack] for attack in pair)
    return Check(
        name=name,
        passed=not _more(weak, strong),
        figures={_FIGURES[attack]: _share(evidence.fooled[attack]) for attack in pair},
        rule=f"fails if the first fools more images than the second, p < {_P:g} in a paired "
        "test on the same images",
        advice=advice,
        images=evidence.correct,
    )


def _more(one: Flags, other: Flags) -> bool:
    """Return whether ``one`` is true for significantly more images than ``other``."""
    return bool(one.sum() > other.sum() and mcnemar(one, other) < _P)


def _share(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _at_least(flags: Flags) -> float:
    """Return the lower end of the 95% interval of a share; 0 without images, so no check fails."""
    return wilson(_share(flags), len(flags))[0] if len(flags) else 0.0
