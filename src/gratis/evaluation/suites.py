"""The suites: each a list of tasks, from cheap to strong. A new task is added here."""

from collections.abc import Callable
from itertools import count, takewhile
from typing import Annotated, Literal

from pydantic import Field

from gratis.attacks import AttackSettings, LossName
from gratis.evaluation.autoattack import COSTS, AutoAttack
from gratis.evaluation.corruptions import KINDS, SEVERITIES, Corruption
from gratis.evaluation.evaluated_model import ExampleFormat
from gratis.evaluation.tasks import EvalTask, FixedSet, GradientAttack, Threat, epsilon_curve
from gratis.evaluation.verified_attack import SquareAttack
from gratis.evaluation.worst_of_k import WorstOfK
from gratis.settings import Fraction, Settings

Suite = Literal["paper", "transfer", "table", "standard", "autoattack", "full"]

# The epsilons of the curve in the full suite, and the distance of those beyond them.
CURVE = tuple(step / 255 for step in (1, 2, 3, 4, 6, 8, 10, 12, 16))
STRIDE = 8 / 255

Epsilon = Annotated[Fraction, Field(ge=0, le=1)]


class EvaluateSettings(Settings):
    """How a model is measured.

    Attributes:
        suite: ``paper``, ``transfer``, ``table``, ``standard``, ``autoattack`` or ``full``.
        epsilon: the epsilon of every attack in L-infinity, in [0, 1] units of pixel value.
        epsilon_l2: the epsilon of the attacks in L2, in the same units.
        l2: whether ``table`` and ``autoattack`` also attack in L2, as ``standard`` and ``full``
            always do. In a recipe, the default is whether it trains in L2.
        pgd_steps: gradient steps of PGD.
        restarts: random starts of PGD; an image counts as fooled if one of them fools it.
            Default: 1 in ``table`` and ``autoattack``, 2 in the other suites.
        epsilons: the epsilons of the curve of accuracy under PGD. Default: 1/255 to 16/255, or to
            ``epsilon`` if that is larger, in ``full``; no curve in the other suites. The suites
            ``paper`` and ``transfer``, which attack nothing, never have one.
        batch_size: images at a time; the outcomes do not depend on it, except for rounding and
            AutoAttack's random numbers.
        images: the number of images to measure on, evenly spaced over the split. Default: all.
        examples: the format in which to store the adversarial examples of the attacks in
            L-infinity, ``float32`` or ``uint8``. With ``uint8`` the outcomes of these attacks are
            those on whole pixel values. Default: they are not stored.
    """

    suite: Suite = "table"
    epsilon: Epsilon = 8 / 255
    epsilon_l2: Annotated[Fraction, Field(ge=0)] = 0.5
    l2: bool | None = None
    pgd_steps: Annotated[int, Field(ge=1)] = 20
    restarts: Annotated[int, Field(ge=1)] | None = None
    epsilons: tuple[Epsilon, ...] | None = None
    batch_size: Annotated[int, Field(ge=1)] = 250
    images: Annotated[int, Field(ge=1)] | None = None
    examples: ExampleFormat | None = None


def tasks_of(settings: EvaluateSettings) -> list[EvalTask]:
    """Return the tasks of the suite that ``settings`` names."""
    return SUITES[settings.suite](settings)


def require_libraries(settings: EvaluateSettings) -> None:
    """Check that the libraries of a suite are installed."""
    for task in tasks_of(settings):
        task.require_library()


def paper(settings: EvaluateSettings) -> list[EvalTask]:
    """Return the metrics that the paper reports; no attack uses the model's own gradient."""
    return [FixedSet(name=name) for name in ("clean", "geometric", "fgsm_transfer")]


def transfer(settings: EvaluateSettings) -> list[EvalTask]:
    """Return the sets of fixed images, which need no gradient of the model."""
    return [*paper(settings), FixedSet(name="transfer")]


def table(settings: EvaluateSettings) -> list[EvalTask]:
    """Return the columns of the results table, PGD as usually published, and PGD on the margin."""
    pgd = AttackSettings.pgd(settings.epsilon, settings.pgd_steps, settings.restarts or 1)
    margin = pgd.model_copy(update={"loss": "margin", "until_fooled": True})
    return [
        *transfer(settings),
        _fgsm(settings),
        _standalone("pgd", "robust", pgd),
        _cascaded("pgd_margin", "robust", margin),
        *(_in_l2(settings, pgd, margin) if settings.l2 else []),
        *_curve(settings),
    ]


def standard(settings: EvaluateSettings) -> list[EvalTask]:
    """Return the white-box attacks in L-infinity and in L2, on two losses, and Square Attack."""
    square = SquareAttack(
        name="square", threat="robust", standalone=False, epsilon=settings.epsilon
    )
    return [*_white_box(settings), square]


def _white_box(settings: EvaluateSettings) -> list[EvalTask]:
    return [
        *transfer(settings),
        _fgsm(settings),
        _standalone("bim", "robust", AttackSettings.bim(settings.epsilon)),
        _standalone("pgd", "robust", _pgd(settings)),
        _cascaded("pgd_margin", "robust", _pgd(settings, loss="margin")),
        *_in_l2(settings, _pgd(settings), _pgd(settings, loss="margin")),
        *_curve(settings),
    ]


def autoattack(settings: EvaluateSettings) -> list[EvalTask]:
    """Return what published comparisons report: the table, and AutoAttack on the survivors."""
    return [*table(settings), *_autoattack(settings)]


def full(settings: EvaluateSettings) -> list[EvalTask]:
    """Return all tasks: also the geometric attack, corruptions, the curve and AutoAttack.

    AutoAttack's Square Attack, with more queries, is in the place of that of ``standard``.
    """
    if settings.epsilons is None:
        settings = settings.model_copy(update={"epsilons": curve_to(settings.epsilon)})
    return [
        *_white_box(settings),
        WorstOfK(name="geometric_worst", threat="geometric_worst"),
        *(
            Corruption(name=f"{kind} {severity}", kind=kind, severity=severity)
            for kind in KINDS
            for severity in SEVERITIES
        ),
        *_autoattack(settings),
    ]


def curve_to(epsilon: float) -> tuple[float, ...]:
    """Return the epsilons of the curve, which ends at ``epsilon`` or at 16/255 if that is more."""
    further = (CURVE[-1] + step * STRIDE for step in count(1))
    between = takewhile(lambda each: each < epsilon - STRIDE / 2, further)
    # An epsilon that was written with six digits is still 16/255.
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

# The suites that end with the sanity checks; the others must stay cheap.
CHECKED: tuple[Suite, ...] = ("standard", "autoattack", "full")

# The suites that need no gradient.
FIXED: tuple[Suite, ...] = ("paper", "transfer")


def _autoattack(settings: EvaluateSettings) -> list[EvalTask]:
    return [
        AutoAttack(
            name=part.replace("-", "_"),
            threat="robust",
            standalone=False,
            part=part,
            epsilon=settings.epsilon,
        )
        for part in COSTS
    ]


def _curve(settings: EvaluateSettings) -> list[EvalTask]:
    attack = AttackSettings.pgd(settings.epsilon, settings.pgd_steps)
    return epsilon_curve("pgd", attack, settings.epsilons or ())


def _fgsm(settings: EvaluateSettings) -> EvalTask:
    return _standalone("fgsm", "robust", AttackSettings.fgsm(settings.epsilon))


def _in_l2(
    settings: EvaluateSettings, pgd: AttackSettings, margin: AttackSettings
) -> list[EvalTask]:
    """Return two attacks in L-infinity as attacks in L2."""
    changes = {"norm": "l2", "epsilon": settings.epsilon_l2}
    return [
        _standalone("pgd_l2", "robust_l2", pgd.model_copy(update=changes)),
        _cascaded("pgd_l2_margin", "robust_l2", margin.model_copy(update=changes)),
    ]


def _pgd(settings: EvaluateSettings, loss: LossName = "cross_entropy") -> AttackSettings:
    return AttackSettings(
        epsilon=settings.epsilon,
        steps=settings.pgd_steps,
        restarts=settings.restarts or 2,
        loss=loss,
        until_fooled=True,
    )


def _standalone(name: str, threat: Threat, settings: AttackSettings) -> EvalTask:
    return GradientAttack(name=name, threat=threat, attack=settings)


def _cascaded(name: str, threat: Threat, settings: AttackSettings) -> EvalTask:
    return GradientAttack(name=name, threat=threat, attack=settings, standalone=False)
