"""The settings of gradient attacks: FGSM, BIM and PGD are three ways to fill them in."""

from collections.abc import Callable
from typing import Annotated, Self

from pydantic import Field, model_validator

from gratis.attacks.losses import LossName
from gratis.attacks.norms import Norm
from gratis.settings import Fraction, Settings

NotNegative = Annotated[Fraction, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class AttackSettings(Settings):
    """A gradient attack; the defaults are PGD with 20 steps.

    Attributes:
        epsilon: the largest norm of the perturbation, in [0, 1] units of pixel value. In ``l2`` it
            may exceed 1.
        norm: ``linf`` or ``l2``.
        steps: gradient steps.
        step_size: the norm of one step. ``None`` follows epsilon: 2.5 * epsilon / steps, enough
            to cross the ball (Madry et al. 2018, section 5), and at most epsilon.
        random_start: start at a random point of the ball instead of at the image.
        restarts: the number of starts; more than one needs ``random_start``.
        loss: the loss to maximise, ``cross_entropy``, ``plain_cross_entropy`` or ``margin``.
        until_fooled: stop attacking an image at the first point that fools the classifier. Without
            it every start runs to its last step, and that point counts.
    """

    epsilon: NotNegative
    norm: Norm = "linf"
    steps: Positive = 20
    step_size: NotNegative | None = None
    random_start: bool = True
    restarts: Positive = 1
    loss: LossName = "cross_entropy"
    until_fooled: bool = False

    @classmethod
    def fgsm(cls, epsilon: float) -> Self:
        """Return the fast gradient sign method (Goodfellow et al. 2015, section 4)."""
        return cls(epsilon=epsilon, steps=1, step_size=epsilon, random_start=False)

    @classmethod
    def bim(cls, epsilon: float, steps: int = 10) -> Self:
        """Return the basic iterative method (Kurakin et al. 2017, section 2.2)."""
        return cls(epsilon=epsilon, steps=steps, random_start=False)

    @classmethod
    def pgd(cls, epsilon: float, steps: int = 20, restarts: int = 1) -> Self:
        """Return projected gradient descent (Madry et al. 2018, section 2.1)."""
        return cls(epsilon=epsilon, steps=steps, restarts=restarts)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.norm == "linf" and self.epsilon > 1:
            raise ValueError(
                f"epsilon ({self.epsilon:g}) must be at most 1 in linf: "
                f"pixel values are in [0, 1], so write 8 of 255 as 8/255"
            )
        if self.restarts > 1 and not self.random_start:
            raise ValueError("restarts without random_start repeat the same attack")
        return self

    @property
    def resolved_step_size(self) -> float:
        """The norm of one step, with the default resolved."""
        if self.step_size is not None:
            return self.step_size
        return self.epsilon * min(1.0, 2.5 / self.steps)


# The attacks by name; each takes epsilon first.
ATTACKS: dict[str, Callable[..., AttackSettings]] = {
    "fgsm": AttackSettings.fgsm,
    "bim": AttackSettings.bim,
    "pgd": AttackSettings.pgd,
}
