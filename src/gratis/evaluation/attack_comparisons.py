"""Sanity checks that compare attacks: no weak attack may be stronger than a strong one."""

from typing import Literal

from gratis.evaluation.sanity_attacks import DRAWS, FEW, HUGE, MANY, Flags, SanityAttacks
from gratis.results import Check
from gratis.results.statistics import mcnemar, wilson

# The p-value below which two attacks differ: a check fails for at most one sound model in 200.
P_VALUE = 0.01
# The share of images that may behave oddly in a sound model.
ODD = 0.05
MASKED = "the gradients are masked; do not quote this accuracy, and attack"


def single_step(attacks: SanityAttacks) -> Check:
    """Check that FGSM fools no more images than PGD, which can make the same step."""
    return _not_stronger(
        attacks,
        "fgsm against pgd",
        ("fgsm", "many"),
        f"{MASKED} with more restarts, a smaller step, the margin loss and AutoAttack",
    )


def iterations(attacks: SanityAttacks) -> Check:
    """Check that a few steps of PGD fool no more images than many."""
    return _not_stronger(
        attacks,
        "more steps",
        ("few", "many"),
        f"{MASKED} with other step sizes, the margin loss and AutoAttack",
    )


def transfer(attacks: SanityAttacks) -> Check | None:
    """Check that FGSM on another model fools no more images than PGD; ``None`` without that set."""
    if "transfer" not in attacks.fooled:
        return None
    return _not_stronger(
        attacks,
        "transfer against white box",
        ("transfer", "many"),
        f"{MASKED} through a substitute: the gradients of an undefended model fool this one more "
        "often than its own",
    )


def noise(attacks: SanityAttacks) -> Check:
    """Check that random noise fools fewer images than the attack."""
    drawn, attacked = attacks.fooled["noise"], attacks.fooled["many"]
    noise_works, some_survive = at_least(drawn) > ODD, at_least(~attacked) > ODD
    as_strong = noise_works and some_survive and drawn.sum() >= attacked.sum()
    return Check(
        name="random noise",
        passed=not (as_strong or significantly_more(drawn, attacked)),
        figures={
            f"fooled by {DRAWS} draws": share(drawn),
            f"fooled by PGD-{MANY}": share(attacked),
        },
        rule=f"fails if noise fools more images than PGD, p < {P_VALUE:g} in a paired test, or as "
        f"many where significantly more than {ODD:.0%} are fooled by noise and survive PGD; PGD "
        "starts from noise",
        advice=f"{MASKED} without gradients (Square, in the suites standard, autoattack and full)",
        images=attacks.correct,
    )


def huge_epsilon(attacks: SanityAttacks) -> Check:
    """Check that no image survives an epsilon within which it can be turned into a grey one."""
    survivors = ~attacks.fooled["huge"]
    return Check(
        name="huge epsilon",
        passed=at_least(survivors) <= ODD,
        figures={f"survive epsilon {HUGE:g}": share(survivors)},
        rule=f"fails if significantly more than {ODD:.0%} of the images survive PGD-{MANY} at "
        f"epsilon {HUGE:g}, which can turn every image into any other of half the contrast",
        advice=f"{MASKED} with the margin loss, without gradients (Square), or through a smooth "
        "approximation of the operation that stops the gradient (BPDA)",
        images=attacks.correct,
    )


_FIGURES = {
    "fgsm": "fooled by FGSM",
    "few": f"fooled by PGD-{FEW}",
    "many": f"fooled by PGD-{MANY}",
    "transfer": "fooled by transfer",
}
_Attack = Literal["fgsm", "few", "many", "transfer"]


def _not_stronger(
    attacks: SanityAttacks, name: str, pair: tuple[_Attack, _Attack], advice: str
) -> Check:
    """Check that the first attack of a pair does not fool more images than the second."""
    weak, strong = (attacks.fooled[attack] for attack in pair)
    return Check(
        name=name,
        passed=not significantly_more(weak, strong),
        figures={_FIGURES[attack]: share(attacks.fooled[attack]) for attack in pair},
        rule=f"fails if the first fools more images than the second, p < {P_VALUE:g} in a paired "
        "test on the same images",
        advice=advice,
        images=attacks.correct,
    )


def significantly_more(one: Flags, other: Flags) -> bool:
    """Return whether ``one`` is true for significantly more images than ``other``."""
    return bool(one.sum() > other.sum() and mcnemar(one, other) < P_VALUE)


def share(flags: Flags) -> float:
    """Return the share of images for which ``flags`` is true; 0 without images."""
    return float(flags.mean()) if len(flags) else 0.0


def at_least(flags: Flags) -> float:
    """Return the lower end of the 95% interval of a share; 0 without images, so no check fails."""
    return wilson(share(flags), len(flags))[0] if len(flags) else 0.0
