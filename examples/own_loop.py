"""Free adversarial training in a plain PyTorch loop, with two added lines.

    uv run python examples/own_loop.py

Images are in [0, 1]; a model that needs them normalised does so inside. Every adversary works the
same way. ``own_loop_fabric.py`` is this loop under lightning-fabric.
"""

import argparse
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

import gratis
from gratis.adversary import Adversary
from gratis.data import DataSettings, load, to_float

EPSILON = 38 / 255
BATCH_SIZE = 64


def train(
    model: nn.Module, adversary: Adversary, images: Tensor, labels: Tensor, steps: int
) -> None:
    """Train ``model`` for ``steps`` steps, each at the price of a step of ordinary training."""
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    step = 0
    for batch, batch_labels in batches(images, labels):
        for x in adversary.replay(model, batch, batch_labels, step / steps):
            loss = functional.cross_entropy(model(x), batch_labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step % 100 == 0:
                print(f"step {step:5}  loss {loss.item():.3f}")
        if step >= steps:
            return


def network() -> nn.Module:
    """Return a small network from images (n, 3, 8, 8) to logits (n, 10)."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1, stride=2),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 10),
    )


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return images and labels for training, then images and labels for validation."""
    data = load(DataSettings(name="digits"))
    return (
        to_float(data.train.images, "cpu"),
        torch.from_numpy(data.train.labels),
        to_float(data.validation.images, "cpu"),
        torch.from_numpy(data.validation.labels),
    )


def batches(images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield random batches of images and labels, endlessly."""
    source = torch.Generator().manual_seed(0)
    while True:
        rows = torch.randint(len(labels), (BATCH_SIZE,), generator=source)
        yield images[rows], labels[rows]


def accuracies(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the accuracy on clean images, and under PGD with 20 steps."""
    attacked = gratis.attack(model, images, labels, "pgd", epsilon=EPSILON, steps=20)
    model.eval()
    with torch.no_grad():
        return {
            name: (model(x).argmax(1) == labels).float().mean().item()
            for name, x in (("clean", images), ("pgd", attacked))
        }


def main(train: Callable[[nn.Module, Adversary, Tensor, Tensor, int], None] = train) -> None:
    """Train a network on digits and print its accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=1500)
    steps = parser.parse_args().steps
    images, labels, validation_images, validation_labels = digits()
    model = network()
    # Epsilon grows over the first 60% of training. Any number may be a schedule.
    free = gratis.FreeAT(replays=4, epsilon=gratis.linear(0, EPSILON, end=0.6))
    train(model, free, images, labels, steps)
    for name, accuracy in accuracies(model, validation_images, validation_labels).items():
        print(f"{name:5} {accuracy:.1%}")


if __name__ == "__main__":
    main()
