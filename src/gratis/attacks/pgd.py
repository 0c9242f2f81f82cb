"""Gradient attacks: one ascent loop, of which FGSM, BIM and PGD are settings."""

from collections.abc import Callable
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from gratis.attacks.losses import LOSSES, LossName
from gratis.attacks.norms import BALLS, Norm
from gratis.settings import Fraction, Settings

# Maps images (n, 3, H, W) in [0, 1] to logits (n, classes); normalises and resizes inside.
Classify = Callable[[Tensor], Tensor]

NotNegative = Annotated[Fraction, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class AttackSettings(Settings):
    """How an attack climbs; the defaults are PGD with 20 steps.

    Attributes:
        epsilon: the budget in ``norm``, in [0, 1] units of pixel value. L2 may exceed 1.
        norm: ``linf`` or ``l2``.
        steps: gradient steps.
        step_size: the norm of one step. ``None`` follows epsilon: 2.5 * epsilon / steps, enough
            to cross the ball (Madry et al. 2018, section 5), and never more than epsilon.
        random_start: start at a random point of the ball instead of at the image.
        restarts: how many starts are tried; more than one needs ``random_start``.
        loss: the loss to raise, ``cross_entropy`` or ``margin``.
        until_fooled: leave an image at the first point that fools the classifier, and spend no
            more on it. Without it every start runs to its last step, and that point counts.
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
        """The norm of one step, with the default worked out."""
        if self.step_size is not None:
            return self.step_size
        return self.epsilon * min(1.0, 2.5 / self.steps)


def run_pgd(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    start: Tensor | None = None,
) -> Tensor:
    """Climb the loss once, from ``start`` to the last step, within the budget and [0, 1].

    Only the images receive a gradient; the ``grad`` of parameters is left alone, and the modes
    of the model are the caller's affair. ``random_start``, ``restarts`` and ``until_fooled`` are
    not looked at.

    Args:
        classify: images to logits, differentiable in the images.
        images: (n, 3, H, W) in [0, 1].
        labels: (n,) class numbers.
        settings: the budget, the loss and the steps.
        start: (n, 3, H, W), the delta to start from; ``None`` starts at the images.

    Returns:
        The adversarial images (n, 3, H, W), detached.
    """
    images = images.detach()
    adversarial = pgd_start(images, settings, start)
    for _ in range(settings.steps):
        gradient, _ = loss_gradient(classify, adversarial, labels, settings.loss)
        adversarial = pgd_step(images, adversarial, gradient, settings)
    return adversarial


def pgd_start(images: Tensor, settings: AttackSettings, start: Tensor | None) -> Tensor:
    """Return where an ascent begins: the images, or ``start`` away from them, in the budget."""
    if start is None:
        return images
    ball = BALLS[settings.norm]
    return (images + ball.project(start.detach(), settings.epsilon)).clamp(0, 1)


def pgd_step(
    images: Tensor, adversarial: Tensor, gradient: Tensor, settings: AttackSettings
) -> Tensor:
    """Return the adversarial images one step up the gradient, back in the budget and [0, 1]."""
    ball = BALLS[settings.norm]
    delta = adversarial - images + ball.steepest_step(gradient, settings.resolved_step_size)
    return (images + ball.project(delta, settings.epsilon)).clamp(0, 1)


def loss_gradient(
    classify: Classify, images: Tensor, labels: Tensor, loss: LossName
) -> tuple[Tensor, Tensor]:
    """Return the gradient of each image's own loss, (n, 3, H, W), and the logits on the way.

    It works under ``torch.no_grad`` too.
    """
    with torch.enable_grad():
        leaf = images.detach().requires_grad_()
        logits = classify(leaf)
        # The sum, not the mean: an image's gradient must not depend on the batch size.
        (gradient,) = torch.autograd.grad(LOSSES[loss](logits, labels).sum(), leaf)
    return gradient, logits.detach()


def input_gradient(classify: Classify, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of each image's own cross entropy, (n, 3, H, W).

    It works under ``torch.no_grad`` too.
    """
    return loss_gradient(classify, images, labels, "cross_entropy")[0]
