"""Gradient attacks: one ascent loop, of which FGSM, BIM and PGD are settings."""

from collections.abc import Callable
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from gratis.perturb.budget import BALLS, Norm
from gratis.seeds import generator
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
    """

    epsilon: NotNegative
    norm: Norm = "linf"
    steps: Positive = 20
    step_size: NotNegative | None = None
    random_start: bool = True
    restarts: Positive = 1

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


def ascend(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    start: Tensor | None = None,
) -> Tensor:
    """Climb the cross entropy once, from ``start``, within the budget and within [0, 1].

    Only the images receive a gradient; the ``grad`` of parameters is left alone, and the modes
    of the model are the caller's affair. ``random_start`` and ``restarts`` are not looked at.

    Args:
        classify: images to logits, differentiable in the images.
        images: (n, 3, H, W) in [0, 1].
        labels: (n,) class numbers.
        settings: the budget and the steps.
        start: (n, 3, H, W), the delta to start from; ``None`` starts at the images.

    Returns:
        The adversarial images (n, 3, H, W), detached.
    """
    ball, epsilon, step_size = BALLS[settings.norm], settings.epsilon, settings.resolved_step_size
    images = images.detach()
    adversarial = images
    if start is not None:
        adversarial = (images + ball.project(start.detach(), epsilon)).clamp(0, 1)
    for _ in range(settings.steps):
        gradient = input_gradient(classify, adversarial, labels)
        delta = adversarial - images + ball.ascend(gradient, step_size)
        adversarial = (images + ball.project(delta, epsilon)).clamp(0, 1)
    return adversarial


def input_gradient(classify: Classify, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of each image's own cross entropy, (n, 3, H, W).

    It works under ``torch.no_grad`` too.
    """
    with torch.enable_grad():
        leaf = images.detach().requires_grad_()
        # The sum, not the mean: an image's gradient must not depend on the batch size.
        loss = cross_entropy(classify(leaf), labels).sum()
        return torch.autograd.grad(loss, leaf)[0]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss that attacks climb, (n,): cross entropy without smoothing."""
    # In half precision a confident softmax rounds to 1, and the gradient to zero.
    return functional.cross_entropy(logits.float(), labels, reduction="none")


def attack(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    seed: int,
    indices: Tensor,
) -> Tensor:
    """Return adversarial images, the best over all restarts for each image.

    The best is the first that the classifier gets wrong, else the one with the highest loss.
    Random starts are keyed by (seed, restart, index), so that the batch in which an image is
    attacked changes nothing. Call it inside :func:`gratis.perturb.frozen`.

    Args:
        classify: images to logits, differentiable in the images.
        images: (n, 3, H, W) in [0, 1].
        labels: (n,) class numbers.
        settings: the attack.
        seed: the seed of the starts.
        indices: (n,) the number of each image in its data set.

    Returns:
        (n, 3, H, W) in [0, 1] and within the budget, detached.
    """
    best = images.detach()
    best_loss = torch.full_like(labels, -torch.inf, dtype=torch.float32)
    fooled = torch.zeros_like(labels, dtype=torch.bool)
    for restart in range(settings.restarts):
        start = _start(images, settings, (seed, restart), indices)
        adversarial = ascend(classify, images, labels, settings, start)
        if settings.restarts == 1:
            return adversarial
        with torch.no_grad():
            logits = classify(adversarial)
        loss = cross_entropy(logits, labels)
        wrong = logits.argmax(1) != labels
        better = ~fooled & (wrong | (loss > best_loss))
        best = torch.where(better[:, None, None, None], adversarial, best)
        best_loss = torch.where(better, loss, best_loss)
        fooled |= wrong
    return best


def _start(
    images: Tensor, settings: AttackSettings, key: tuple[int, int], indices: Tensor
) -> Tensor | None:
    if not settings.random_start:
        return None
    ball, shape = BALLS[settings.norm], (1, *images.shape[1:])
    # Drawn on the CPU, one image at a time: the same on every device and in every batch.
    starts = torch.empty(images.shape)
    for row, index in enumerate(indices.tolist()):
        source = generator("cpu", "attack", *key, index)
        starts[row : row + 1] = ball.random(shape, settings.epsilon, source)
    return starts.to(images)
