"""The public API on one page: train, load, evaluate, attack, predict, export, and your own loop.

    uv run python examples/public_api.py --data folder:PATH --budget 20m

Without options it trains on scikit-learn's digits for twenty seconds. The data determines the
profile, and thus the size of images and model.
"""

import argparse

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import gratis
from gratis.data import load, to_float
from gratis.run import RunFolder


def main(data: str, budget: str) -> None:
    """Train on ``data`` for ``budget``, then use what was trained."""
    run = gratis.train("contrastive-scheduled", data=data, budget=budget)
    model = gratis.load(run)
    images, labels = validation_images(run)

    results = gratis.evaluate(model, images, labels, epsilon="8/255")
    print(f"clean {results.clean:.1%}, PGD {results.pgd:.1%}")

    adversarial = gratis.attack(model, images, labels, "pgd", epsilon=8 / 255)
    print(f"accuracy on adversarial images {accuracy(model, adversarial, labels):.1%}")
    print(f"the first image: {gratis.predict(run, images[:1])[0].name}")
    gratis.export(run, "pets.onnx")
    fine_tune(model, DataLoader(TensorDataset(images, labels), batch_size=64))


def fine_tune(model: torch.nn.Module, loader: DataLoader[tuple[Tensor, ...]]) -> None:
    """Train a model for one epoch in a loop of one's own, with free adversarial training."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), 0.001, momentum=0.9)
    free = gratis.FreeAT(replays=4, epsilon=gratis.linear(0, 8 / 255, end=0.6))
    for number, (images, labels) in enumerate(loader):
        progress = number / len(loader)
        for x in free.replay(model, images, labels, progress):
            loss = functional.cross_entropy(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"loss after an epoch of free training {loss.item():.3f}")


def validation_images(run: RunFolder) -> tuple[Tensor, Tensor]:
    """Return the validation images (n, 3, height, width) in [0, 1] of a run, and their labels."""
    split = load(run.recipe().data).validation
    return to_float(split.images, "cpu"), torch.tensor(split.labels)


def accuracy(model: torch.nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images that are classified correctly."""
    with torch.no_grad():
        return float((model(images).argmax(1) == labels).float().mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--budget", default="20s")
    chosen = parser.parse_args()
    main(chosen.data, chosen.budget)
