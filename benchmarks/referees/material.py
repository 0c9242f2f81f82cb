"""The models and images that all tools attack, as they are loaded and as ours prepares them."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from gratis.cpu import folded
from gratis.data import Split, to_float
from gratis.evaluation.measure import FOLDED, evenly_spaced
from gratis.model import logits_of
from gratis.run import load_run


@dataclass(frozen=True)
class Asked:
    """Whose model, how many of its images, within which epsilon (its own if ``None``)."""

    run: Path
    images: int
    epsilon: float | None
    threads: int


@dataclass(frozen=True)
class Material:
    """A run's model, with logits alone, and the images that it is attacked on."""

    name: str
    model: nn.Module
    split: Split
    images: Tensor
    labels: Tensor
    epsilon: float


class Logits(nn.Module):
    """A model that returns logits alone."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap ``model``."""
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images in [0, 1]."""
        return logits_of(self.model(images))


@functools.cache
def material_of(asked: Asked) -> Material:
    """Return what a run's folder holds, once in a process, which is set to its threads."""
    torch.set_num_threads(asked.threads)
    model, _, recipe, dataset = load_run(asked.run)
    split = dataset.validation
    index = evenly_spaced(len(split), asked.images)
    return Material(
        asked.run.name,
        # As a whole: torchattacks leaves every part in the mode that the whole was in.
        Logits(model).to(memory_format=torch.contiguous_format).eval(),
        split,
        to_float(split.images[index], "cpu").contiguous(),
        torch.from_numpy(split.labels[index]),
        recipe.evaluate.epsilon if asked.epsilon is None else asked.epsilon,
    )


def prepare(it: Material) -> Material:
    """Return the same with frozen parameters and channels last; the model itself is changed."""
    model = it.model.requires_grad_(False).to(memory_format=torch.channels_last)
    images = it.images.contiguous(memory_format=torch.channels_last)
    return replace(it, model=model, images=images)


def folded_of(it: Material) -> Material:
    """Return the same with batch norms folded, as our evaluation does it by itself."""
    return replace(it, model=folded(it.model, it.images[:FOLDED]))


def given(it: Material) -> Material:
    """Return the same as it is loaded."""
    model = it.model.requires_grad_(True).to(memory_format=torch.contiguous_format)
    return replace(it, model=model, images=it.images.contiguous())


def accuracy(it: Material, adversarial: Tensor) -> float:
    """Return the percentage of images that the model gets right."""
    with torch.no_grad():
        return 100 * float((it.model(adversarial).argmax(1) == it.labels).float().mean())
