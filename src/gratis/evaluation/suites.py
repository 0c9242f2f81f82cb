"""The suites: each a list of tasks, from cheap to strong."""

from collections.abc import Callable
from itertools import count, takewhile
from typing import Annotated, Literal

from pydantic import Field

from gratis.attacks import AttackSettings, LossName, Norm
from gratis.evaluation.autoattack import COSTS, AutoAttack
from gratis.evaluation.corruptions import KINDS, SEVERITIES, Corruption
from gratis.evaluation.evaluated_model import Kept
from gratis.evaluation.tasks import EvalTask, FixedSet, GradientAttack, Threat, ladder
from gratis.evaluation.worst_of_k import WorstOfK
from gratis.settings import Fraction, Settings

Suite = Literal["paper", "transfer", "table", "standard", "autoattack", "full"]

# Where the full suite draws accuracy against epsilon, and, for larger budgets, how it goes on.
CURVE = tuple(step / 255 for step in (1, 2, 3, 4, 6, 8, 10, 12, 16))
STRIDE = 8 / 255

Epsilon = Annotated[Fraction, Field(ge=0, le=1)]


class EvaluateSettings(Settings):
    """How a model is measured.

    Attributes:
        suite: ``paper``, ``transfer``, ``table``, ``standard``, ``autoattack`` or ``full``.
        epsilon: the L-infinity budget of every attack, in [0, 1] units of pixel value.
        epsilon_l2: the L2 budget of the suites that attack in L2, in the same units.
        pgd_steps: gradient steps of PGD.
        restarts: random starts of PGD; an image counts as fooled if one of them fools it.
            ``None`` is 1 in ``table`` and ``autoattack``, and 2 elsewhere.
        epsilons: where to draw accuracy under PGD against epsilon. ``None`` is 1/255 to 16/255,
            and on to ``epsilon`` where that is more, in ``full`` and nowhere elsewhere.
        batch_size: images at a time; the verdicts do not depend on it, up to rounding and to
            AutoAttack's random numbers.
        images: measure on so many images only, evenly spaced over the split; ``None`` is all.
        examples: keep what fooled the model within ``epsilon``, as ``float32`` or ``uint8``. With
            ``uint8`` the verdicts of these attacks are those on whole pixel values.
    """

    suite: Suite = "table"
    epsilon: Epsilon = 8 / 255
    epsilon_l2: Annotated[Fraction, Field(ge=0)] = 0.5
    pgd_steps: Annotated[int, Field(ge=1)] = 20
    restarts: Annotated[int, Field(ge=1)] | None = None
    epsilons: tuple[Epsilon, ...] | None = None
    batch_size: Annotated[int, Field(ge=1)] = 250
    images: Annotated[int, Field(ge=1)] | None = None
    examples: Kept | None = None


def tasks_of(own: EvaluateSettings) -> list[EvalTask]:
    """Return the tasks of the suite that ``own`` names."""
    return SUITES[own.suite](own)


def require_libraries(own: EvaluateSettings) -> None:
    """See that all that the suite needs is installed.

    Raises:
        GratisError: something is not.
    """
    for task in tasks_of(own):
        task.require()


def paper(own: EvaluateSettings) -> list[EvalTask]:
    """What the paper reports: nothing here is attacked through the model itself."""
    return [FixedSet(name=name) for name in ("clean", "geometric", "fgsm_transfer")]


def transfer(own: EvaluateSettings) -> list[EvalTask]:
    """The fixed images, and nothing that needs a gradient of the model."""
    return [*paper(own), FixedSet(name="transfer")]


def table(own: EvaluateSettings) -> list[EvalTask]:
    """What the results table shows: each attack on its own, PGD as it is mostly published."""
    how = AttackSettings.pgd(own.epsilon, own.pgd_steps, own.restarts or 1)
    return [*transfer(own), _fgsm(own), _standalone("pgd", "robust", how)]


def standard(own: EvaluateSettings) -> list[EvalTask]:
    """The white-box attacks, in L-infinity and in L2; worth believing, and quick."""
    return [
        *transfer(own),
        _fgsm(own),
        _standalone("bim", "robust", AttackSettings.bim(own.epsilon)),
        _standalone("pgd", "robust", _pgd(own)),
        _cascaded("pgd_margin", "robust", _pgd(own, loss="margin")),
        _standalone("pgd_l2", "robust_l2", _pgd(own, norm="l2")),
        _cascaded("pgd_l2_margin", "robust_l2", _pgd(own, norm="l2", loss="margin")),
        *ladder("pgd", AttackSettings.pgd(own.epsilon, own.pgd_steps), own.epsilons or ()),
    ]


def autoattack(own: EvaluateSettings) -> list[EvalTask]:
    """What published comparisons report: the table, and AutoAttack on what stands."""
    return [*table(own), *_autoattack(own)]


def full(own: EvaluateSettings) -> list[EvalTask]:
    """Everything: also AutoAttack, the geometric attack, corruptions and the curve."""
    if own.epsilons is None:
        own = own.model_copy(update={"epsilons": curve_to(own.epsilon)})
    return [
        *standard(own),
        WorstOfK(name="geometric_worst", threat="geometric_worst"),
        *(
            Corruption(name=f"{kind} {severity}", kind=kind, severity=severity)
            for kind in KINDS
            for severity in SEVERITIES
        ),
        *_autoattack(own),
    ]


def curve_to(epsilon: float) -> tuple[float, ...]:
    """Return the epsilons of the curve, which goes as far as ``epsilon`` at least."""
    further = (CURVE[-1] + step * STRIDE for step in count(1))
    between = takewhile(lambda each: each < epsilon - STRIDE / 2, further)
    # Written to six digits, 16/255 is 16/255.
    beyond = epsilon > CURVE[-1] * (1 + 1e-5)
    return (*CURVE, *between, epsilon) if beyond else CURVE


SUITES: dict[Suite, Callable[[EvaluateSettings], list[EvalTask]]] = {
    "paper": paper,
    "transfer": transfer,
    "table": table,
    "standard": standard,
    "autoattack": autoattack,
    "full": full,
}

# The suites that end with the sanity checks: the others claim less, and must stay cheap.
CHECKED: tuple[Suite, ...] = ("standard", "autoattack", "full")

# The suites that need no gradient.
FIXED: tuple[Suite, ...] = ("paper", "transfer")


def _autoattack(own: EvaluateSettings) -> list[EvalTask]:
    return [
        AutoAttack(
            name=part.replace("-", "_"),
            threat="robust",
            standalone=False,
            part=part,
            epsilon=own.epsilon,
        )
        for part in COSTS
    ]


def _fgsm(own: EvaluateSettings) -> EvalTask:
    return _standalone("fgsm", "robust", AttackSettings.fgsm(own.epsilon))


def _pgd(
    own: EvaluateSettings, norm: Norm = "linf", loss: LossName = "cross_entropy"
) -> AttackSettings:
    return AttackSettings(
        epsilon=own.epsilon if norm == "linf" else own.epsilon_l2,
        norm=norm,
        steps=own.pgd_steps,
        restarts=own.restarts or 2,
        loss=loss,
        until_fooled=True,
    )


def _standalone(name: str, threat: Threat, how: AttackSettings) -> EvalTask:
    return GradientAttack(name=name, threat=threat, attack=how)


def _cascaded(name: str, threat: Threat, how: AttackSettings) -> EvalTask:
    return GradientAttack(name=name, threat=threat, attack=how, standalone=False)
