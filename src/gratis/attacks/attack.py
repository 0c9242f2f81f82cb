"""Attacks from start to verdict: restarts, and images that are left alone once they have fallen."""

from typing import NamedTuple

import torch
from torch import Tensor

from gratis.attacks.losses import LOSSES
from gratis.attacks.norms import BALLS
from gratis.attacks.pgd import AttackSettings, Classify, loss_gradient, pgd_start, pgd_step, run_pgd
from gratis.seeds import generator


class AttackResult(NamedTuple):
    """What an attack on n images found.

    ``images`` (n, 3, H, W) are in [0, 1] and within the budget; ``loss`` (n,) is theirs, infinite
    where the attack left off early; ``fooled`` (n,) says which the classifier gets wrong.
    """

    images: Tensor
    loss: Tensor
    fooled: Tensor


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
    attacked changes nothing. Call it inside :func:`gratis.attacks.frozen`.

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
    if settings.restarts == 1 and not settings.until_fooled:
        # With nothing to choose from, the logits of the last point need not be known.
        start = _start(images, settings, seed, 0, indices)
        return run_pgd(classify, images, labels, settings, start)
    return run_attack(classify, images, labels, settings, seed, indices).images


def run_attack(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    seed: int,
    indices: Tensor,
) -> AttackResult:
    """Return what :func:`attack` does, with the classifier's verdict; the arguments are the same.

    An image that a restart has fooled does not meet the next one.
    """
    images = images.detach()
    best = AttackResult(
        images.clone(),
        torch.full_like(labels, -torch.inf, dtype=torch.float32),
        torch.zeros_like(labels, dtype=torch.bool),
    )
    once = _until_fooled if settings.until_fooled else _to_the_end
    for restart in range(settings.restarts):
        rows = (~best.fooled).nonzero().squeeze(1)
        if len(rows) == 0:
            break
        some = _take(images, rows)
        start = _start(some, settings, seed, restart, indices[rows.to(indices.device)])
        tried = once(classify, some, labels[rows], settings, start)
        better = tried.fooled | (tried.loss > best.loss[rows])
        for kept, new in zip(best, tried, strict=True):
            kept[rows[better]] = new[better]
    return best


def _to_the_end(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    start: Tensor | None,
) -> AttackResult:
    adversarial = run_pgd(classify, images, labels, settings, start)
    with torch.no_grad():
        logits = classify(adversarial)
    return AttackResult(
        adversarial, LOSSES[settings.loss](logits, labels), logits.argmax(1) != labels
    )


def _until_fooled(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    start: Tensor | None,
) -> AttackResult:
    """Climb; whoever falls leaves the batch with the point at which it fell.

    The logits that a step's gradient needs anyway tell who fell in the step before, so that
    only those that stand after the last step cost one more pass.
    """
    at = pgd_start(images, settings, start)
    found = AttackResult(
        at.clone(),
        torch.full_like(labels, torch.inf, dtype=torch.float32),
        torch.ones_like(labels, dtype=torch.bool),
    )
    rows = torch.arange(len(labels), device=labels.device)
    for _ in range(settings.steps):
        gradient, logits = loss_gradient(classify, at, labels, settings.loss)
        stands = logits.argmax(1) == labels
        if not stands.all():
            found.images[rows[~stands]] = at[~stands]
            left = stands.nonzero().squeeze(1)
            rows, labels = rows[left], labels[left]
            images, at, gradient = (_take(part, left) for part in (images, at, gradient))
        if len(rows) == 0:
            return found
        at = pgd_step(images, at, gradient, settings)
    with torch.no_grad():
        logits = classify(at)
    found.images[rows] = at
    found.loss[rows] = LOSSES[settings.loss](logits, labels)
    found.fooled[rows] = logits.argmax(1) != labels
    return found


def _take(images: Tensor, rows: Tensor) -> Tensor:
    """Return some of the images, in the memory format that all have."""
    if images.is_contiguous(memory_format=torch.channels_last):
        return images[rows].contiguous(memory_format=torch.channels_last)
    return images[rows]


def _start(
    images: Tensor, settings: AttackSettings, seed: int, restart: int, indices: Tensor
) -> Tensor | None:
    if not settings.random_start:
        return None
    ball, shape = BALLS[settings.norm], (1, *images.shape[1:])
    # Drawn on the CPU, one image at a time: the same on every device and in every batch.
    starts = torch.empty(images.shape)
    for row, index in enumerate(indices.tolist()):
        source = generator("cpu", "attack", seed, restart, index)
        starts[row : row + 1] = ball.random(shape, settings.epsilon, source)
    return starts.to(images)
