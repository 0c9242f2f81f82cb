"""The attack loop: projected gradient steps, of which FGSM, BIM and PGD are settings."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from gratis.attacks.losses import LOSSES, LossName
from gratis.attacks.norms import BALLS
from gratis.attacks.settings import AttackSettings
from gratis.errors import GratisError

# Maps images (n, 3, H, W) in [0, 1] to logits (n, classes); normalises and resizes inside.
Classify: TypeAlias = Callable[[Tensor], Tensor]


class NoGradientError(GratisError):
    """A classifier has no gradient with respect to its images."""


def run_pgd(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    start: Tensor | None = None,
) -> Tensor:
    """Return images after ``settings.steps`` steps up the loss, in the norm ball and in [0, 1].

    Only the images receive a gradient: the ``grad`` of parameters does not change. The model keeps
    its modes, and autocast is the caller's choice. ``random_start``, ``restarts`` and
    ``until_fooled`` are ignored.

    Args:
        classify: images to logits, differentiable in the images.
        images: (n, 3, H, W) in [0, 1].
        labels: (n,) class numbers.
        settings: the norm ball, the loss and the steps.
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
    """Return the first point of the loop: the images, or the images plus the projected start."""
    if start is None:
        return images
    ball = BALLS[settings.norm]
    return (images + ball.project(start.detach(), settings.epsilon)).clamp(0, 1)


def pgd_step(
    images: Tensor, adversarial: Tensor, gradient: Tensor, settings: AttackSettings
) -> Tensor:
    """Return the adversarial images after one step, projected into the norm ball and [0, 1]."""
    ball = BALLS[settings.norm]
    delta = adversarial - images + ball.steepest_step(gradient, settings.resolved_step_size)
    return (images + ball.project(delta, settings.epsilon)).clamp(0, 1)


def loss_gradient(
    classify: Classify, images: Tensor, labels: Tensor, loss: LossName
) -> tuple[Tensor, Tensor]:
    """Return the gradient of each image's own loss, (n, 3, H, W), and the logits (n, classes).

    It works under ``torch.no_grad`` too. The gradient is 0 at pixels where it is not finite, so
    that an attack follows the others.
    """
    gradient, logits = raw_loss_gradient(classify, images, labels, loss)
    return gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0), logits


def raw_loss_gradient(
    classify: Classify, images: Tensor, labels: Tensor, loss: LossName
) -> tuple[Tensor, Tensor]:
    """Return the gradient and the logits of :func:`loss_gradient`, also where not finite.

    Raises:
        NoGradientError: the logits do not depend on the images in a differentiable way.
        GratisError: a label is not one of the classes.
    """
    with torch.enable_grad():
        inputs = images.detach().requires_grad_()
        logits = classify(inputs)
        # The sum, not the mean: an image's gradient must not depend on the batch size.
        total = _losses(logits, labels, loss).sum()
        gradient = None
        if total.requires_grad:
            (gradient,) = torch.autograd.grad(total, inputs, allow_unused=True)
    if gradient is None:
        raise NoGradientError(
            "the model has no gradient with respect to its images, which the attack needs; remove "
            "operations without a gradient, such as detach or rounding to integers, and attack a "
            "run itself, not its ONNX file"
        )
    return gradient, logits.detach()


def _losses(logits: Tensor, labels: Tensor, loss: LossName) -> Tensor:
    try:
        return LOSSES[loss](logits, labels)
    except (IndexError, RuntimeError) as error:
        # Not before: looking at the labels would make a GPU wait.
        low, high = (int(value) for value in labels.aminmax())
        if low >= 0 and high < logits.shape[1]:
            raise
        problem = f"{low} to {high} are not all among the {logits.shape[1]} classes of the model"
        raise GratisError(f"labels: {problem}") from error


def input_gradient(classify: Classify, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of each image's own cross entropy, (n, 3, H, W), for training."""
    return loss_gradient(classify, images, labels, "plain_cross_entropy")[0]
