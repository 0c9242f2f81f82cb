"""What the delta of an image does to other images: is a perturbation specific to its image?

Every validation image gets a PGD delta of its own. The model is then measured on images with the
delta of the same image, of another image of its class, of an image of another class, with one
delta for all images, and with random signs.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gratis.adversary.assigned_fgsm import Source, assigned_rows
from gratis.attacks import AttackSettings, attack, input_gradient
from gratis.model import classify_with
from gratis.seeds import generator
from gratis.study.measurements.base import MeasuredRun

_STEPS = 10
# The universal delta is made from so many training images, in so many rounds.
_UNIVERSAL_IMAGES, _ROUNDS = 2000, 5
NAMES = {
    "delta_same": "accuracy with the PGD-10 delta of the image itself",
    "delta_same_class": "accuracy with the delta of another image of the same class",
    "delta_other_class": "accuracy with the delta of an image of another class",
    "delta_universal": "accuracy with one delta for all images, made on training images",
    "delta_random": "accuracy with random signs of the same size",
}
_SOURCES: tuple[Source, ...] = ("same", "same_class", "other_class")


def measure(run: MeasuredRun) -> dict[str, float]:
    """Return the accuracy in percent with every kind of delta."""
    deltas = _deltas(run)
    labels = torch.from_numpy(run.dataset.validation.labels.copy())
    universal = _universal(run)
    found = {}
    for source in _SOURCES:
        found[f"delta_{source}"] = run.accuracy(_with(deltas[assigned_rows(labels, source)]))
    found["delta_universal"] = run.accuracy(lambda _, images, __: _added(images, universal))
    found["delta_random"] = run.accuracy(
        lambda place, images, _: _added(images, _random(images, run.epsilon, place.start))
    )
    return found


def _deltas(run: MeasuredRun) -> Tensor:
    """Return the delta of every validation image, on the CPU in half precision."""
    settings = AttackSettings.pgd(run.epsilon, _STEPS)
    found = []
    for place, images, labels in run.batches():
        indices = torch.arange(place.start, place.stop)
        classify = classify_with(run.model)
        attacked = attack(classify, images, labels, settings, run.seed, indices)
        found.append((attacked - images).half().cpu())
    return torch.cat(found)


def _universal(run: MeasuredRun) -> Tensor:
    """Return one delta (1, 3, height, width): signed steps up the mean loss of batches."""
    train = run.dataset.train
    every = max(1, len(train) // _UNIVERSAL_IMAGES)
    few = train.take(torch.arange(0, len(train), every).numpy())
    delta: Tensor | None = None
    for _ in range(_ROUNDS):
        for _, images, labels in run.batches(few):
            delta = torch.zeros_like(images[:1]) if delta is None else delta
            changed = (images + delta).clamp(0, 1)
            gradient = input_gradient(classify_with(run.model), changed, labels).mean(0, True)
            moved = delta + run.epsilon / _STEPS * torch.sign(gradient)
            delta = moved.clamp(-run.epsilon, run.epsilon)
    assert delta is not None
    # All of epsilon, as the others use nearly all of it.
    return run.epsilon * torch.sign(delta)


def _random(images: Tensor, epsilon: float, start: int) -> Tensor:
    source = generator(images.device, "random signs", start)
    signs = torch.randint(2, images.shape, generator=source, device=images.device)
    return epsilon * (2.0 * signs - 1)


def _with(deltas: Tensor) -> Callable[[slice, Tensor, Tensor], Tensor]:
    return lambda place, images, _: _added(images, deltas[place])


def _added(images: Tensor, delta: Tensor) -> Tensor:
    return (images + delta.to(images)).clamp(0, 1)
