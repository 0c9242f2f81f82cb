"""Complete attacks: random restarts, and stopping early for images that are already fooled."""

from typing import NamedTuple

import torch
from torch import Tensor

from gratis.attacks.losses import LOSSES, is_correct
from gratis.attacks.norms import BALLS
from gratis.attacks.pgd import Classify, loss_gradient, pgd_start, pgd_step, run_pgd
from gratis.attacks.settings import AttackSettings
from gratis.seeds import generator
from gratis.torch_state import fresh_torch_state


class AttackResult(NamedTuple):
    """The outcome of an attack on n images.

    Attributes:
        images: (n, 3, H, W) in [0, 1] and within epsilon of the images attacked.
        loss: (n,) the loss of each; infinite where the attack stopped early.
        fooled: (n,) whether the classifier gets each wrong, or returns logits that are not finite.
    """

    images: Tensor
    loss: Tensor
    fooled: Tensor


def attack(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    seed: int = 0,
    indices: Tensor | None = None,
) -> Tensor:
    """Return adversarial images, the best over all restarts for each image.

    The best is the first that the classifier gets wrong, else the one with the highest loss.
    Random starts are keyed by (seed, restart, index), so that an image gets the same start in
    every batch. The caller's autocast, inference mode and default dtype make no difference. Wrap
    the call in :func:`gratis.attacks.frozen`.

    Args:
        classify: images to logits, differentiable in the images.
        images: (n, 3, H, W) in [0, 1].
        labels: (n,) class numbers.
        settings: the attack.
        seed: the seed of the random starts.
        indices: (n,) the number of each image in its data set. Default: 0 to n - 1.

    Returns:
        (n, 3, H, W) in [0, 1] and within epsilon of ``images``, detached.
    """
    if settings.restarts > 1 or settings.until_fooled:
        return run_attack(classify, images, labels, settings, seed, indices).images
    # There is nothing to choose from, so the logits of the last point are not needed.
    with fresh_torch_state(images.device):
        images, labels = _recordable(images), _recordable(labels)
        start = _start(images, settings, seed, 0, _indices(labels, indices))
        return run_pgd(classify, images, labels, settings, start)


def run_attack(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    seed: int = 0,
    indices: Tensor | None = None,
) -> AttackResult:
    """Return the images of :func:`attack` with their losses, and whether each fools.

    The arguments are those of :func:`attack`. Later restarts attack only the images that earlier
    ones have not fooled.
    """
    with fresh_torch_state(images.device):
        images, labels = _recordable(images), _recordable(labels)
        indices = _indices(labels, indices)
        best = AttackResult(
            images.clone(),
            torch.full_like(labels, -torch.inf, dtype=torch.float32),
            torch.zeros_like(labels, dtype=torch.bool),
        )
        run_once = _until_fooled if settings.until_fooled else _to_the_end
        for restart in range(settings.restarts):
            rows = (~best.fooled).nonzero().squeeze(1)
            if len(rows) == 0:
                break
            remaining = _take(images, rows)
            start = _start(remaining, settings, seed, restart, indices[rows.to(indices.device)])
            found = run_once(classify, remaining, labels[rows], settings, start)
            better = found.fooled | (found.loss > best.loss[rows])
            for kept, new in zip(best, found, strict=True):
                kept[rows[better]] = new[better]
        return best


def _to_the_end(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    start: Tensor | None,
) -> AttackResult:
    """Make every step for every image."""
    adversarial = run_pgd(classify, images, labels, settings, start)
    with torch.no_grad():
        logits = classify(adversarial)
    loss = LOSSES[settings.loss](logits, labels)
    return AttackResult(adversarial, loss, ~is_correct(logits, labels))


def _until_fooled(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    start: Tensor | None,
) -> AttackResult:
    """Make the steps, and take each image out of the batch at the first point that fools.

    A step computes the logits of the point before it anyway. Only the images that survive the last
    step cost one more pass.
    """
    adversarial = pgd_start(images, settings, start)
    found = AttackResult(
        adversarial.clone(),
        torch.full_like(labels, torch.inf, dtype=torch.float32),
        torch.ones_like(labels, dtype=torch.bool),
    )
    rows = torch.arange(len(labels), device=labels.device)
    for _ in range(settings.steps):
        gradient, logits = loss_gradient(classify, adversarial, labels, settings.loss)
        survives = is_correct(logits, labels)
        if not survives.all():
            found.images[rows[~survives]] = adversarial[~survives]
            left = survives.nonzero().squeeze(1)
            rows, labels = rows[left], labels[left]
            images, adversarial, gradient = (
                _take(tensor, left) for tensor in (images, adversarial, gradient)
            )
        if len(rows) == 0:
            return found
        adversarial = pgd_step(images, adversarial, gradient, settings)
    with torch.no_grad():
        logits = classify(adversarial)
    found.images[rows] = adversarial
    found.loss[rows] = LOSSES[settings.loss](logits, labels)
    found.fooled[rows] = ~is_correct(logits, labels)
    return found


def _take(images: Tensor, rows: Tensor) -> Tensor:
    """Return the images at ``rows``, in the memory format of all."""
    if images.is_contiguous(memory_format=torch.channels_last):
        return images[rows].contiguous(memory_format=torch.channels_last)
    return images[rows]


def _recordable(tensor: Tensor) -> Tensor:
    """Return a tensor that autograd accepts: those made in inference mode are copied."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def _indices(labels: Tensor, indices: Tensor | None) -> Tensor:
    return torch.arange(len(labels), device="cpu") if indices is None else indices


def _start(
    images: Tensor, settings: AttackSettings, seed: int, restart: int, indices: Tensor
) -> Tensor | None:
    if not settings.random_start:
        return None
    ball, shape = BALLS[settings.norm], (1, *images.shape[1:])
    # Drawn on the CPU, one image at a time: the same on every device and in every batch.
    starts = torch.empty(images.shape, device="cpu")
    for row, index in enumerate(indices.tolist()):
        source = generator("cpu", "attack", seed, restart, index)
        starts[row : row + 1] = ball.random(shape, settings.epsilon, source)
    return starts.to(images)
