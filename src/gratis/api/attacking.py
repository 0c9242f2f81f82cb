"""Attack images with one call."""

from typing import Any, Literal, TypeAlias, TypedDict, Unpack

import torch
from torch import Tensor, nn

from gratis.attacks import ATTACKS, AttackSettings, LossName, Norm, frozen
from gratis.attacks import attack as run
from gratis.errors import GratisError
from gratis.model import classify_with
from gratis.settings import validate
from gratis.torch_state import full_precision

# The keys of ATTACKS, which a type checker cannot read.
AttackName: TypeAlias = Literal["fgsm", "bim", "pgd"]

_BATCH = 250


class AttackOptions(TypedDict, total=False):
    """Options of an attack; see :class:`gratis.attacks.AttackSettings`."""

    norm: Norm
    steps: int
    step_size: float | str
    random_start: bool
    restarts: int
    loss: LossName
    until_fooled: bool


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
        GratisError: an argument is wrong, out of range or of the wrong shape.
    """
    settings = attack_settings(attack, {"epsilon": epsilon, **options})
    _refuse_wrong(images, labels)
    numbers = torch.arange(len(labels)) if indices is None else indices
    if numbers.shape != labels.shape:
        raise GratisError(f"indices: needs shape {tuple(labels.shape)}, not {tuple(numbers.shape)}")
    parts = zip(*(each.split(batch_size) for each in (images, labels, numbers)), strict=True)
    with frozen(model), full_precision(images.device):
        found = [
            run(classify_with(model), some, their, settings, seed, own)
            for some, their, own in parts
        ]
    return torch.cat(found) if found else images.clone()


def attack_settings(name: str, options: dict[str, Any]) -> AttackSettings:
    """Return an attack by its name, with changes.

    Raises:
        GratisError: there is no such attack, or an option is wrong.
    """
    if name not in ATTACKS:
        raise GratisError(f"attack: {name!r} is unknown; choose from {', '.join(ATTACKS)}")
    defaults = ATTACKS[name](0.0).model_dump(include={"steps", "random_start"})
    return validate(AttackSettings, defaults | options, f"attack {name}")


def _refuse_wrong(images: Tensor, labels: Tensor) -> None:
    if images.dim() != 4 or not images.is_floating_point() or len(images) != len(labels):
        raise GratisError(
            "attack: needs float images of shape (n, 3, height, width) and n labels, not "
            f"{images.dtype} {tuple(images.shape)} and {tuple(labels.shape)}"
        )
    if labels.dtype != torch.int64 or labels.dim() != 1:
        raise GratisError(
            f"labels: needs int64 of shape (n,), not {labels.dtype} {tuple(labels.shape)}"
        )
    if images.numel() and not (float(images.min()) >= 0 and float(images.max()) <= 1):
        raise GratisError(
            "images: needs values in [0, 1]; leave out normalisation, and normalise inside the "
            "model"
        )
