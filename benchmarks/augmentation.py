"""What random views cost beside one bare resampling, kornia and torchvision.

    uv run python benchmarks/augmentation.py --json augmentation.json

Everybody makes one view of each image of the same batch, taken in turn, so that whatever else the
machine does falls on all alike: colours changed, rotated, scaled, shifted, cropped, mirrored, as
far as our defaults say. A round is a few calls of each; its figure is the quickest, for what
others take of the machine only adds. The ratios are ours to theirs, per round.

The peers, and what they are given:

- bare: ``grid_sample`` alone of the same images in the same memory format, channels last, with a
  grid of one of our batches, ready beforehand;
- kornia: its layers on the batch, every image with its own draws; contiguous images, which it is
  quicker with;
- torchvision per image: its transforms on one contiguous tensor after another, stacked: what a
  worker of a data loader does;
- torchvision per batch: the same on the whole batch, which then shares one set of draws.

Where a row says ``->``, everybody's views are made at the first size and then resized to the
second as our models do, the bare resampling's as well.
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from free_pass import finish
from tables import spread
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import InterpolationMode, v2

from gratis.model.resizing import resized
from gratis.perturb import Augment, AugmentSettings
from gratis.run.machine import device_name
from gratis.seeds import generator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kornia.augmentation as kornia_layers

Make = Callable[[], Tensor]
# Name, size of the images, size that the network wants.
CASES: dict[str, tuple[int, int | None]] = {
    "32 px": (32, None),
    "64 px": (64, None),
    "64 -> 224 px": (64, 224),
}
# Peer, and at most how much of its time we want to take.
WANTED = {"bare": 1.5, "kornia": 0.6, "torchvision per image": 0.25, "torchvision per batch": None}
HOW = AugmentSettings()


def by_kornia(size: int) -> nn.Module:
    """Return kornia's layers for images of ``size``."""
    # Of its two ways to crop, cutting image after image is the quicker.
    return nn.Sequential(
        kornia_layers.ColorJiggle(HOW.brightness, HOW.contrast, HOW.saturation, HOW.hue, p=1.0),
        kornia_layers.RandomAffine(HOW.rotation, (HOW.shift, HOW.shift), HOW.scale, p=1.0),
        kornia_layers.RandomResizedCrop(
            (size, size), (HOW.crop**2, 1.0), (1.0, 1.0), p=1.0, cropping_mode="slice"
        ),
        kornia_layers.RandomHorizontalFlip(HOW.flip),
    )


def by_torchvision(size: int) -> v2.Transform:
    """Return torchvision's transforms for images of ``size``."""
    bilinear = InterpolationMode.BILINEAR
    return v2.Compose(
        [
            v2.ColorJitter(HOW.brightness, HOW.contrast, HOW.saturation, HOW.hue),
            v2.RandomAffine(
                HOW.rotation, (HOW.shift, HOW.shift), HOW.scale, interpolation=bilinear
            ),
            v2.RandomResizedCrop(size, (HOW.crop**2, 1.0), (1.0, 1.0), interpolation=bilinear),
            v2.RandomHorizontalFlip(HOW.flip),
        ]
    )


def makers(size: int, count: int, device: torch.device) -> dict[str, Make]:
    """Return, for us and every peer, what makes the views of one batch of noise."""
    flat = torch.rand((count, 3, size, size), device=device)
    images = flat.contiguous(memory_format=torch.channels_last)
    source = generator(device, "benchmark")
    ours, layers, transforms = Augment(HOW), by_kornia(size), by_torchvision(size)
    _, maps = ours(images, source)
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return {
        "ours": lambda: ours(images, source)[0],
        "bare": lambda: functional.grid_sample(images, grid, align_corners=False),
        "kornia": lambda: layers(flat),
        "torchvision per image": lambda: torch.stack([transforms(image) for image in flat]),
        "torchvision per batch": lambda: transforms(flat),
    }


def seconds_of(make: Make, input_size: int | None, device: torch.device) -> float:
    """Return how long it takes to make the views and to resize them."""
    finish(device)
    begin = time.perf_counter()
    resized(make(), input_size)
    finish(device)
    return time.perf_counter() - begin


def measure(
    made: dict[str, Make], input_size: int | None, device: torch.device, own: argparse.Namespace
) -> dict[str, list[float]]:
    """Return the seconds of everybody's quickest call in every round."""
    measured: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(own.rounds + 1):
        taken: dict[str, list[float]] = {name: [] for name in made}
        for call in range(own.calls):
            # Forwards, then backwards, so that nobody always follows the same other one.
            for name in list(made)[:: -1 if call % 2 else 1]:
                taken[name].append(seconds_of(made[name], input_size, device))
        for name, values in taken.items():
            measured[name].append(min(values))
    # The first round warms up.
    return {name: values[1:] for name, values in measured.items()}


def ratios(measured: dict[str, list[float]], peer: str) -> list[float]:
    """Return our time as a share of a peer's, per round."""
    pairs = zip(measured["ours"], measured[peer], strict=True)
    return [ours / theirs for ours, theirs in pairs]


def table(results: dict[str, dict[str, list[float]]]) -> str:
    """Return the ratios of every case as Markdown."""
    heads = [
        f"ours / {peer}" + (f" (at most {most} wanted)" if most else "")
        for peer, most in WANTED.items()
    ]
    lines = [f"| images | {' | '.join(heads)} |", f"|{' --- |' * (len(heads) + 1)}"]
    for name, measured in results.items():
        cells = [spread(ratios(measured, peer), digits=3) for peer in WANTED]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print, last, one table of ratios."""
    parser = argparse.ArgumentParser(description="What random views cost.")
    parser.add_argument("--rounds", type=int, default=9, help="at least 7")
    parser.add_argument("--calls", type=int, default=5, help="of everybody, a round")
    parser.add_argument("--batch", type=int, default=128, help="images in a batch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the seconds and the ratios there")
    own = parser.parse_args()
    torch.set_num_threads(own.threads)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    about = (
        f"{device_name(device)}, torch {torch.__version__};"
        f" batch of {own.batch}, {own.rounds} rounds of {own.calls} calls"
    )
    print(about, flush=True)
    results = {}
    for name, (size, input_size) in CASES.items():
        made = makers(size, own.batch, device)
        results[name] = measure(made, input_size, device, own)
        middle = {key: 1000 * statistics.median(values) for key, values in results[name].items()}
        told = ", ".join(f"{key} {value:.2f}" for key, value in middle.items())
        print(f"{name}, median milliseconds: {told}", flush=True)
    if own.json:
        shares = {
            name: {peer: ratios(measured, peer) for peer in WANTED}
            for name, measured in results.items()
        }
        content = {"about": about, "seconds": results, "ratios": shares}
        own.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"\nmedian (least to greatest) of the rounds\n\n{table(results)}")


if __name__ == "__main__":
    main()
