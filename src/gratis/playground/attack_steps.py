"""Attacks whose every step can be followed."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from gratis.attacks import AttackSettings, Norm
from gratis.attacks.norms import BALLS
from gratis.attacks.pgd import loss_gradient, pgd_start, pgd_step, run_pgd
from gratis.playground.models import PlaygroundModel
from gratis.seeds import generator

# Gradient steps by name; noise takes none.
STEPS = {"none": 0, "random noise": 0, "FGSM": 1, "PGD-10": 10, "PGD-50": 50}
# Every how many steps a long attack shows where it is.
_SHOW_EVERY = 10
# Bisections between 0 and the largest epsilon: 16/255 is then found to 0.03/255.
_BISECTIONS = 9


class AttackRequest(NamedTuple):
    """What to do to an image.

    Attributes:
        method: a key of ``STEPS``.
        norm: of the perturbation.
        epsilon: the largest norm, in [0, 1] units of pixel value.
        target: the class to reach; ``None`` leads away from the present one.
    """

    method: str = "PGD-10"
    norm: Norm = "linf"
    epsilon: float = 0.0
    target: int | None = None


class AttackStep(NamedTuple):
    """A point on the way of an attack.

    Attributes:
        images: (1, 3, H, W) in [0, 1].
        losses: the cross entropy at the start and after every step so far, of the class that the
            attack leads away from, or else to.
    """

    images: Tensor
    losses: tuple[float, ...]


def attack_steps(
    model: PlaygroundModel, images: Tensor, label: int, request: AttackRequest
) -> Iterator[AttackStep]:
    """Yield where an attack on one image is: every tenth step, and the last.

    Args:
        model: the model to attack.
        images: (1, 3, H, W) in [0, 1].
        label: the class to lead away from.
        request: the attack.
    """
    target = label if request.target is None else request.target
    goal = torch.tensor([target], device=images.device)
    steps = STEPS[request.method]
    if request.method == "none" or request.epsilon == 0:
        yield AttackStep(images, (_loss(model, images, goal),))
        return
    settings = AttackSettings(norm=request.norm, epsilon=request.epsilon, steps=max(1, steps))
    start = None if steps == 1 else _noise(images, request.norm, request.epsilon)
    found = pgd_start(images, settings, start)
    losses = [_loss(model, found, goal)]
    for number in range(1, steps + 1):
        gradient, _ = loss_gradient(model.logits, found, goal, "cross_entropy")
        direction = gradient if request.target is None else -gradient
        found = pgd_step(images, found, direction, settings)
        losses.append(_loss(model, found, goal))
        if number % _SHOW_EVERY == 0 and number < steps:
            yield AttackStep(found, tuple(losses))
    yield AttackStep(found, tuple(losses))


def first_error(
    model: PlaygroundModel, images: Tensor, label: int, norm: Norm, largest: float
) -> float | None:
    """Return about the smallest epsilon at which PGD-10 changes the prediction.

    It is found by bisection, so that it holds where a larger epsilon fools the model too.

    Args:
        model: the model to attack.
        images: (1, 3, H, W) in [0, 1].
        label: the class that the prediction should be.
        norm: of the perturbation.
        largest: the largest epsilon to try.

    Returns:
        0 if the prediction is wrong without an attack; ``None`` if it is right even at ``largest``.
    """
    if _fooled(model, images, label):
        return 0.0
    low, high = 0.0, largest
    if not _fooled_at(model, images, label, norm, high):
        return None
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _fooled_at(model, images, label, norm, middle):
            high = middle
        else:
            low = middle
    return high


def _fooled_at(
    model: PlaygroundModel, images: Tensor, label: int, norm: Norm, epsilon: float
) -> bool:
    settings = AttackSettings(norm=norm, epsilon=epsilon, steps=10)
    goal = torch.tensor([label], device=images.device)
    start = _noise(images, norm, epsilon)
    return _fooled(model, run_pgd(model.logits, images, goal, settings, start), label)


def _fooled(model: PlaygroundModel, images: Tensor, label: int) -> bool:
    return int(model.probabilities(images).argmax()) != label


def _noise(images: Tensor, norm: Norm, epsilon: float) -> Tensor:
    """Return the same random perturbation for every epsilon, so that a slider moves smoothly."""
    draws = generator(images.device, "playground")
    return BALLS[norm].random(tuple(images.shape), epsilon, draws)


def _loss(model: PlaygroundModel, images: Tensor, goal: Tensor) -> float:
    with torch.no_grad():
        return float(cross_entropy(model.logits(images).float(), goal))
