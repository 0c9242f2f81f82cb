"""What a pass of free adversarial training costs beside a natural one.

    uv run python benchmarks/free_pass.py

Three kinds of step of the same model on the same batch, taken in turn, so that whatever else the
machine does falls on all of them alike: natural training, natural training that also takes the
gradient of the input, and free training. A round is a few steps of each; its figure is the median
step. The ratio is that of free to natural with the input gradient, per round; at most 1.05 is
wanted.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from lightning_fabric import Fabric
from tables import spread
from torch import Tensor

from gratis.adversary import Adversary, Model
from gratis.adversary.free import FreeSettings
from gratis.adversary.natural import Natural
from gratis.data import Batch
from gratis.model import Classifier, ModelSettings
from gratis.objective import Objective
from gratis.objective.cross_entropy import CrossEntropySettings
from gratis.run.machine import device_name
from gratis.train.step import Learner, train_step

# Name, image size, settings of the model.
MODELS = {
    "narrow ResNet-18, 32 px": (32, ModelSettings(stem="small", channels=(16, 32, 64, 128))),
    "ResNet-18, 64 px": (64, ModelSettings(stem="small")),
}
CLASSES = 10
WANTED = 1.05


class InputGradient(Natural):
    """Natural training that asks for the gradient of the input too, and does nothing with it."""

    def perturb(self, model: Model, batch: Batch, t: float) -> Tensor:
        """Return the views as a leaf."""
        return batch.views.detach().requires_grad_()


KINDS: dict[str, Callable[[], Adversary]] = {
    "natural": Natural,
    "with input gradient": InputGradient,
    "free": lambda: FreeSettings().build(0),
}


def learner_of(settings: ModelSettings, adversary: Adversary) -> Learner:
    """Return everything that a step needs, on the device that there is."""
    fabric = Fabric(accelerator="auto", devices=1)
    torch.manual_seed(0)
    module = Classifier(settings, CLASSES).to(memory_format=torch.channels_last)
    module.to(fabric.device)
    optimizer = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9, foreach=True)
    model, optimizer = fabric.setup(module.train(), optimizer)
    objective = Objective({"cross_entropy": CrossEntropySettings()})
    return Learner(fabric, module, model, adversary, objective, optimizer, None, 0)


def batch_of(size: int, images: int, device: torch.device) -> Batch:
    """Return a batch of noise, in memory as images are."""
    source = torch.Generator().manual_seed(0)
    noise = torch.rand((images, 3, size, size), generator=source)
    labels = torch.randint(CLASSES, (images,), generator=source)
    noise = noise.to(device, memory_format=torch.channels_last)
    return Batch.of(noise, labels.to(device))


def seconds_of(learner: Learner, batch: Batch, number: int) -> float:
    """Return how long one step takes."""
    finish(batch.images.device)
    begin = time.perf_counter()
    train_step(learner, batch, 0.5, number)
    finish(batch.images.device)
    return time.perf_counter() - begin


def finish(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(
    settings: ModelSettings, batch: Batch, rounds: int, steps: int
) -> list[dict[str, float]]:
    """Return the median step of each kind, in seconds, for every round."""
    learners = {kind: learner_of(settings, build()) for kind, build in KINDS.items()}
    for learner in learners.values():
        for number in range(3):
            train_step(learner, batch, 0.5, number)
    measured = []
    for _ in range(rounds):
        taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for number in range(steps):
            # Forwards, then backwards, so that no kind always follows the same other one.
            for kind in list(KINDS)[:: -1 if number % 2 else 1]:
                taken[kind].append(seconds_of(learners[kind], batch, number))
        measured.append({kind: statistics.median(values) for kind, values in taken.items()})
    return measured


def row(name: str, measured: list[dict[str, float]]) -> str:
    """Return a model's line of the table."""
    cells = [spread([one[kind] for one in measured], 1000, 1) for kind in KINDS]
    ratios = [one["free"] / one["with input gradient"] for one in measured]
    return f"| {name} | {' | '.join(cells)} | {spread(ratios, digits=3)} |"


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description="What a pass of free training costs.")
    parser.add_argument("--rounds", type=int, default=7, help="at least 7")
    parser.add_argument("--steps", type=int, default=4, help="of each kind, a round")
    parser.add_argument("--batch", type=int, default=16, help="images in a batch")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    own = parser.parse_args()
    torch.set_num_threads(own.threads)
    device = Fabric(accelerator="auto", devices=1).device
    print(
        f"{device_name(device)}, torch {torch.__version__};"
        f" batch of {own.batch}, {own.rounds} rounds of {own.steps} steps of each kind\n"
        f"milliseconds a step: median (least to greatest) of the rounds; at most {WANTED} wanted\n"
    )
    print(f"| model | {' | '.join(KINDS)} | ratio free / with input gradient |")
    print(f"|{' --- |' * (len(KINDS) + 2)}")
    for name, (size, settings) in MODELS.items():
        batch = batch_of(size, own.batch, device)
        print(row(name, measure(settings, batch, own.rounds, own.steps)), flush=True)


if __name__ == "__main__":
    main()
