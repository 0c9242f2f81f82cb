"""The public API on one page: train, harden, load, evaluate, attack, predict, export, own loop.

    uv run python examples/public_api.py --data folder:PATH --budget 20m --weights pets.pt

Without options it trains on handwritten digits for twenty seconds, and hardens that run. The
data determines the profile, and thus the size of images and model. With ``--weights``, a state dict
of torchvision's or timm's resnet18, it hardens that model.
"""

import argparse

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import gratis
from gratis.data import load, to_float
from gratis.run import RunFolder


def main(data: str, budget: str, weights: str | None, input_size: int | None) -> None:
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
    harden(run, data, budget, weights, input_size)
    fine_tune(model, DataLoader(TensorDataset(images, labels), batch_size=64))


def harden(
    run: RunFolder, data: str, budget: str, weights: str | None, input_size: int | None
) -> None:
    """Make a trained model robust, and keep its clean accuracy within two points."""
    if weights is None:
        run = gratis.harden(run, budget=budget, keep_clean=2)
    else:
        run = gratis.harden(
            "resnet18", weights=weights, data=data, budget=budget, input_size=input_size
        )
    results = run.results()
    if results is not None and results.before is not None:
        print(f"hardened: clean {results.before.clean:.1%} before, {results.clean:.1%} after")


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
    parser.add_argument("--weights")
    parser.add_argument("--input-size", type=int)
    chosen = parser.parse_args()
    main(chosen.data, chosen.budget, chosen.weights, chosen.input_size)
