"""The cost of a pass of free adversarial training beside a natural one.

Three kinds of step of the same model on the same small batch alternate, step by step: natural
training, natural training that also computes the gradient of the input, and free training. A
figure is the median step of a round.
"""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import torch
from lightning_fabric import Fabric
from torch import Tensor

from benchmarks.base import Comparison, Conditions, Side, at_most, ratio
from benchmarks.steps import LARGE, NARROW, device, seconds_per_unit
from gratis.adversary import Adversary, Model
from gratis.adversary.free import FreeSettings
from gratis.adversary.natural import Natural
from gratis.cpu import use_quick_stem
from gratis.data import Batch
from gratis.model import Classifier, ModelSettings
from gratis.objective import Objective
from gratis.objective.cross_entropy import CrossEntropySettings
from gratis.training.step import TrainState, train_step

# The model's settings, the images in a batch and their size.
MODELS = {
    NARROW: (ModelSettings(stem="small", channels=(16, 32, 64, 128)), 16, 32),
    LARGE: (ModelSettings(stem="small"), 8, 64),
}
CLASSES = 10
NATURAL, GRADIENT, FREE = "natural", "natural with input gradient", "free"


class InputGradient(Natural):
    """Natural training that also computes the gradient of the input, and ignores it."""

    def perturb(self, model: Model, batch: Batch, t: float, micro_batches: int = 1) -> Tensor:
        """Return the views as a leaf tensor, which gets a gradient."""
        return batch.views.detach().requires_grad_()


KINDS: dict[str, Callable[[], Adversary]] = {
    NATURAL: Natural,
    GRADIENT: InputGradient,
    FREE: lambda: FreeSettings().build(0),
}


def train_state_of(settings: ModelSettings, adversary: Adversary) -> TrainState:
    """Return the state of training a model with an adversary, on :func:`device`."""
    fabric = Fabric(accelerator="auto", devices=1)
    torch.manual_seed(0)
    module = Classifier(settings, CLASSES).to(memory_format=torch.channels_last)
    use_quick_stem(module.backbone)
    module.to(fabric.device)
    optimizer = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9, fused=True)
    model, optimizer = fabric.setup(module.train(), optimizer)
    objective = Objective({"cross_entropy": CrossEntropySettings()})
    return TrainState(fabric, module, model, adversary, objective, optimizer, None, 0)


def batch_of(images: int, size: int) -> Batch:
    """Return a batch of noise in channels last, the memory format of images."""
    source = torch.Generator().manual_seed(0)
    noise = torch.rand((images, 3, size, size), generator=source)
    labels = torch.randint(CLASSES, (images,), generator=source)
    noise = noise.to(device(), memory_format=torch.channels_last)
    return Batch.of(noise, labels.to(noise.device))


def step_of(kind: str, settings: ModelSettings, batch: Batch) -> Side:
    """Return the side whose turn is one step of a kind."""
    train_state, numbers = train_state_of(settings, KINDS[kind]()), count()

    def step() -> float:
        train_step(train_state, batch, 0.5, next(numbers))
        return len(batch)

    return lambda: {kind: seconds_per_unit(step)}


def comparison_of(model: str) -> Comparison:
    """Return the comparison of the three kinds of step with one model."""

    @contextmanager
    def opened(_: Conditions) -> Iterator[list[Side]]:
        settings, images, size = MODELS[model]
        batch = batch_of(images, size)
        yield [step_of(kind, settings, batch) for kind in KINDS]

    return Comparison(
        "free-pass",
        model,
        "seconds an image",
        opened,
        [ratio(FREE, GRADIENT, at_most(1.03)), ratio(FREE, NATURAL)],
        lambda turn: len(KINDS) * turn,
        pick=statistics.median,
        needs_data=False,
    )


COMPARISONS = [comparison_of(model) for model in MODELS]
