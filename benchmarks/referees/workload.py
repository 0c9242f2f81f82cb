"""The models and images that all tools attack, as loaded and as prepared by our evaluation."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from gratis.cpu import folded
from gratis.data import Split, to_float
from gratis.evaluation.measure import FOLDING_CHECKED, evenly_spaced
from gratis.model import logits_of
from gratis.run import load_run


@dataclass(frozen=True)
class AttackSetup:
    """A run, the number of images, the epsilon (default: the run's) and the threads."""

    run: Path
    images: int
    epsilon: float | None
    threads: int


@dataclass(frozen=True)
class Workload:
    """A run's model, which returns logits only, and the images to attack."""

    name: str
    model: nn.Module
    split: Split
    images: Tensor
    labels: Tensor
    epsilon: float


class Logits(nn.Module):
    """A model that returns logits only."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap ``model``."""
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images in [0, 1]."""
        return logits_of(self.model(images))


@functools.cache
def load_workload(setup: AttackSetup) -> Workload:
    """Load a run and set this process's threads; cached within the process."""
    torch.set_num_threads(setup.threads)
    model, _, recipe, dataset = load_run(setup.run)
    split = dataset.validation
    index = evenly_spaced(len(split), setup.images)
    return Workload(
        setup.run.name,
        # All of it in evaluation mode: torchattacks gives every submodule the mode of the whole.
        Logits(model).to(memory_format=torch.contiguous_format).eval(),
        split,
        to_float(split.images[index], "cpu").contiguous(),
        torch.from_numpy(split.labels[index]),
        recipe.evaluate.epsilon if setup.epsilon is None else setup.epsilon,
    )


def prepare(workload: Workload) -> Workload:
    """Return it with frozen parameters and in channels last; changes the model in place."""
    model = workload.model.requires_grad_(False).to(memory_format=torch.channels_last)
    images = workload.images.contiguous(memory_format=torch.channels_last)
    return replace(workload, model=model, images=images)


def with_folding(workload: Workload) -> Workload:
    """Return it with batch norms folded, as our evaluation folds them."""
    return replace(workload, model=folded(workload.model, workload.images[:FOLDING_CHECKED]))


def as_loaded(workload: Workload) -> Workload:
    """Return it as loaded; changes the model in place."""
    model = workload.model.requires_grad_(True).to(memory_format=torch.contiguous_format)
    return replace(workload, model=model, images=workload.images.contiguous())


def accuracy(workload: Workload, adversarial: Tensor) -> float:
    """Return the percentage of images that the model classifies correctly."""
    with torch.no_grad():
        return 100 * float(
            (workload.model(adversarial).argmax(1) == workload.labels).float().mean()
        )
