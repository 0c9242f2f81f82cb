"""Attack images with one call."""

from typing import Any, Literal, TypeAlias, TypedDict, Unpack

import torch
from torch import Tensor, nn

from gratis.api.arguments import python_names, whole_number
from gratis.attacks import ATTACKS, AttackSettings, LossName, Norm, frozen
from gratis.attacks import attack as run
from gratis.data.checks import check_images, check_numbers
from gratis.errors import GratisError
from gratis.evaluation.contiguous import with_contiguous_inputs
from gratis.evaluation.model_validation import model_logits
from gratis.model import classify_with
from gratis.settings import validate
from gratis.torch_state import full_precision

# The keys of ATTACKS, which a type checker cannot read.
AttackName: TypeAlias = Literal["fgsm", "bim", "pgd"]

_BATCH = 250
# Images that show whether a model needs images of its own.
_FEW = 2


class AttackOptions(TypedDict, total=False):
    """Options of an attack; see :class:`gratis.attacks.AttackSettings`."""

    norm: Norm
    steps: int
    step_size: float | str
    random_start: bool
    restarts: int
    loss: LossName
    until_fooled: bool


@python_names
def attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attack: AttackName = "pgd",
    *,
    epsilon: float | str,
    seed: int = 0,
    indices: Tensor | None = None,
    batch_size: int = _BATCH,
    **options: Unpack[AttackOptions],
) -> Tensor:
    """Return adversarial images: within epsilon of ``images`` and in [0, 1].

    The model is attacked in evaluation mode with constant parameters, and left as it was.

    Args:
        model: maps images in [0, 1] to logits, or to an object with ``logits``.
        images: float (n, 3, height, width) in [0, 1], on the model's device.
        labels: int64 (n,), the true classes.
        attack: ``fgsm`` (one signed step), ``bim`` (10 steps from the image) or ``pgd`` (20 steps
            from a random start).
        epsilon: the size of the norm ball, in [0, 1] units of pixel value, such as ``8 / 255`` or
            ``"8/255"``.
        seed: the seed of random starts.
        indices: int64 (n,), a unique number per image; it determines the image's random
            starts. Default: 0 to n - 1.
        batch_size: images at a time.
        options: changes to the attack: ``norm``, ``steps``, ``step_size``, ``random_start``,
            ``restarts``, ``loss``, ``until_fooled``.

    Returns:
        (n, 3, height, width), detached.

    Raises:
        GratisError: an argument is wrong, out of range or of the wrong shape, or the model has no
            gradient with respect to its images.
    """
    settings = attack_settings(attack, {"epsilon": epsilon, **options})
    seed, batch_size = whole_number("seed", seed), whole_number("batch_size", batch_size, 1)
    check_images(images)
    numbers = torch.arange(len(images), device="cpu") if indices is None else indices
    check_numbers("indices", numbers, len(images))
    check_numbers("labels", labels, len(images))
    if not len(images):
        return images.clone()
    check_module(model)
    with frozen(model), full_precision(images.device):
        _check_classes(labels, class_count(model, images))
    module = with_contiguous_inputs(model, images[:_FEW], type(model).__name__)
    parts = zip(*(each.split(batch_size) for each in (images, labels, numbers)), strict=True)
    with frozen(module), full_precision(images.device):
        classify = classify_with(module)
        return torch.cat([run(classify, x, y, settings, seed, own) for x, y, own in parts])


def attack_settings(name: object, options: dict[str, Any]) -> AttackSettings:
    """Return an attack by its name, with changes.

    Raises:
        GratisError: there is no such attack, or an option is wrong.
    """
    if not isinstance(name, str) or name not in ATTACKS:
        raise GratisError(f"attack: {name!r} is unknown; choose from {', '.join(ATTACKS)}")
    defaults = ATTACKS[name](0.0).model_dump(include={"steps", "random_start"})
    return validate(AttackSettings, defaults | options, f"attack {name}")


def class_count(model: nn.Module, images: Tensor) -> int:
    """Return the number of the model's logits for the first of ``images``.

    Raises:
        GratisError: the model fails on it, or returns no logits.
    """
    name = type(model).__name__
    with torch.no_grad():
        # A copy: some models change their images in place.
        first = images[:1].clone(memory_format=torch.contiguous_format)
        logits = model_logits(model, first, name)
    if logits.ndim != 2:
        raise GratisError(f"{name}: returns shape {tuple(logits.shape)}, not (n, classes)")
    return logits.shape[1]


def check_module(model: object) -> None:
    """Refuse what is no module.

    Raises:
        GratisError: it is something else.
    """
    if not isinstance(model, nn.Module):
        problem = f"needs a torch.nn.Module, not {type(model).__name__}"
        raise GratisError(f"model: {problem}; gratis.load returns one")


def _check_classes(labels: Tensor, classes: int) -> None:
    low, high = (int(value) for value in labels.aminmax())
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise GratisError(f"labels: {wrong} is not one of the model's classes, 0 to {classes - 1}")
