"""Adversarial training in a loop of one's own: a plain torch model, plain PyTorch, five lines.

    uv run python examples/own_loop.py

The lines marked with a number are all that free adversarial training adds to an ordinary loop.
Images are in [0, 1]; a model that wants them normalised normalises inside. The same works with
``FgsmSettings`` and ``PgdSettings``. ``own_loop_fabric.py`` is this loop under lightning-fabric.
"""

import argparse
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from gratis.adversary.free import FreeSettings  # 1
from gratis.data import Batch, DataSettings, load, to_float
from gratis.schedule import Constant, Linear

EPSILON = 24 / 255
BATCH = 64

# 2: the budget grows while training goes on, as in the paper; every number may be a schedule.
ADVERSARY = FreeSettings(
    replays=Constant(value=4), epsilon=Linear(start=0, stop=EPSILON, end=0.6)
).build(seed=0)


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
    """Return images and labels to train on, then images and labels to validate."""
    data = load(DataSettings(name="digits"))
    return (
        to_float(data.train.images, "cpu"),
        torch.from_numpy(data.train.labels),
        to_float(data.validation.images, "cpu"),
        torch.from_numpy(data.validation.labels),
    )


def draws(images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield random batches of images and labels without end."""
    source = torch.Generator().manual_seed(0)
    while True:
        rows = torch.randint(len(labels), (BATCH,), generator=source)
        yield images[rows], labels[rows]


def train(model: nn.Module, images: Tensor, labels: Tensor, steps: int) -> None:
    """Train ``model`` for so many steps; each costs what a step of natural training does."""
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    done = 0
    for some, their_labels in draws(images, labels):
        batch = Batch.of(some, their_labels)
        for _ in range(ADVERSARY.replays(done / steps)):  # 3
            if done == steps:
                return
            perturbed = ADVERSARY.perturb(model, batch, done / steps)  # 4
            loss = functional.cross_entropy(model(perturbed), batch.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ADVERSARY.observe(batch, done / steps)  # 5: the same backward pass moves delta
            done += 1
            if done % 100 == 0 or done == steps:
                print(f"step {done:5}  loss {loss.item():.3f}")


def report(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Print the clean accuracy and that under PGD with 20 steps."""
    from gratis.attacks import AttackSettings, attack, frozen

    with frozen(model):
        rows = torch.arange(len(labels))
        attacked = attack(model, images, labels, AttackSettings.pgd(EPSILON), 0, rows)
        for name, shown in (("clean", images), ("pgd", attacked)):
            right = (model(shown).argmax(1) == labels).float().mean().item()
            print(f"{name:5} {right:.1%}")


def main(train: Callable[[nn.Module, Tensor, Tensor, int], None] = train) -> None:
    """Train and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=1500)
    steps = parser.parse_args().steps
    images, labels, validation, their_labels = digits()
    model = network()
    train(model, images, labels, steps)
    report(model, validation, their_labels)


if __name__ == "__main__":
    main()
