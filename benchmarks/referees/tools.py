"""The attacks of all libraries behind one signature."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gratis.attacks import AttackSettings, attack

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torchattacks
    from art.attacks import evasion
    from art.estimators.classification import PyTorchClassifier
    from foolbox.attacks import L2PGD, LinfPGD
    from foolbox.models.pytorch import PyTorchModel

Attack = Callable[[nn.Module, Tensor, Tensor, AttackSettings], Tensor]
SEED = 0


def ours(model: nn.Module, images: Tensor, labels: Tensor, settings: AttackSettings) -> Tensor:
    """Attack with gratis, all steps on all images."""
    return attack(model, images, labels, settings, SEED, torch.arange(len(labels)))


def ours_until_fooled(
    model: nn.Module, images: Tensor, labels: Tensor, settings: AttackSettings
) -> Tensor:
    """Attack with gratis, and stop at each image once it is fooled."""
    return ours(model, images, labels, settings.model_copy(update={"until_fooled": True}))


def torchattacks_attack(
    model: nn.Module, images: Tensor, labels: Tensor, settings: AttackSettings
) -> Tensor:
    """Attack with torchattacks."""
    step = {"alpha": settings.resolved_step_size, "steps": settings.steps}
    kind: Any = torchattacks
    if settings.norm == "l2":
        tool = kind.PGDL2(model, eps=settings.epsilon, random_start=settings.random_start, **step)
    elif settings.steps == 1:
        tool = kind.FGSM(model, eps=settings.epsilon)
    elif settings.random_start:
        tool = kind.PGD(model, eps=settings.epsilon, random_start=True, **step)
    else:
        tool = kind.BIM(model, eps=settings.epsilon, **step)
    found: Tensor = tool(images, labels)
    return found


def foolbox_attack(
    model: nn.Module, images: Tensor, labels: Tensor, settings: AttackSettings
) -> Tensor:
    """Attack with foolbox."""
    kind = LinfPGD if settings.norm == "linf" else L2PGD
    tool = kind(
        abs_stepsize=settings.resolved_step_size,
        steps=settings.steps,
        random_start=settings.random_start,
    )
    wrapped = PyTorchModel(model, bounds=(0, 1), device=images.device)
    found: Tensor = tool.run(wrapped, images, labels, epsilon=settings.epsilon)
    return found


def art_attack(
    model: nn.Module, images: Tensor, labels: Tensor, settings: AttackSettings
) -> Tensor:
    """Attack with ART."""
    with torch.no_grad():
        classes = model(images[:1]).shape[1]
    wrapped = PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(images.shape[1:]),
        nb_classes=classes,
        clip_values=(0, 1),
        device_type="gpu" if images.is_cuda else "cpu",
    )
    tool = evasion.ProjectedGradientDescentPyTorch(
        wrapped,
        norm=np.inf if settings.norm == "linf" else 2,
        eps=settings.epsilon,
        eps_step=settings.resolved_step_size,
        max_iter=settings.steps,
        num_random_init=int(settings.random_start),
        batch_size=len(images),
        verbose=False,
    )
    found = tool.generate(images.cpu().numpy(), labels.cpu().numpy())
    return torch.from_numpy(found).to(images)


TOOLS: dict[str, Attack] = {
    "ours": ours,
    "torchattacks": torchattacks_attack,
    "foolbox": foolbox_attack,
    "ART": art_attack,
}
