"""What random views cost beside one bare resampling, kornia and torchvision.

Everybody makes one view of each image of the same batch: colours changed, rotated, scaled,
shifted, cropped, mirrored, as far as our defaults say. A figure is the quickest of a round's
calls, for what others take of the machine only adds. The peers, and what they are given:

- bare: ``grid_sample`` alone of the same images in the same memory format, channels last, with a
  grid of one of our batches, ready beforehand;
- kornia: its layers on the batch, every image with its own draws; contiguous images, which it is
  quicker with;
- torchvision per image: its transforms on one contiguous tensor after another, stacked: what a
  worker of a data loader does;
- torchvision per batch: the same on the whole batch, which then shares one set of draws.

In ``64-to-224px`` everybody's views are then resized as our models do, the bare resampling's as
well. All work in one process, which trains nothing: the memory allocator is as it comes, and what
one frees serves the next.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import InterpolationMode, v2

from benchmarks.base import Conditions, Contest, Side, at_most, ratio
from benchmarks.steps import device, timed
from gratis.augmentation import Augment, AugmentSettings
from gratis.model.resizing import resized
from gratis.seeds import generator

Make = Callable[[], Tensor]
# Size of the images, size that the network wants.
CASES: dict[str, tuple[int, int | None]] = {
    "32px": (32, None),
    "64px": (64, None),
    "64-to-224px": (64, 224),
}
OURS = "ours"
# Peer, and at most how much of its time we want to take.
PEERS = {
    "bare": at_most(1.5),
    "kornia": at_most(0.6),
    "torchvision per image": at_most(0.25),
    "torchvision per batch": None,
}
HOW = AugmentSettings()
IMAGES = 128


def by_kornia(size: int) -> nn.Module:
    """Return kornia's layers for images of ``size``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Here, because it takes long, and other contests need none.
        import kornia.augmentation as layers
    # Of its two ways to crop, cutting image after image is the quicker.
    return nn.Sequential(
        layers.ColorJiggle(HOW.brightness, HOW.contrast, HOW.saturation, HOW.hue, p=1.0),
        layers.RandomAffine(HOW.rotation, (HOW.shift, HOW.shift), HOW.scale, p=1.0),
        layers.RandomResizedCrop(
            (size, size), (HOW.crop**2, 1.0), (1.0, 1.0), p=1.0, cropping_mode="slice"
        ),
        layers.RandomHorizontalFlip(HOW.flip),
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


def makers(size: int) -> dict[str, Make]:
    """Return, for us and every peer, what makes the views of one batch of noise."""
    place = device()
    flat = torch.rand((IMAGES, 3, size, size), device=place)
    images = flat.contiguous(memory_format=torch.channels_last)
    source = generator(place, "benchmark")
    ours, layers, transforms = Augment(HOW), by_kornia(size), by_torchvision(size)
    _, maps = ours(images, source)
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return {
        OURS: lambda: ours(images, source)[0],
        "bare": lambda: functional.grid_sample(images, grid, align_corners=False),
        "kornia": lambda: layers(flat),
        "torchvision per image": lambda: torch.stack([transforms(image) for image in flat]),
        "torchvision per batch": lambda: transforms(flat),
    }


def call(name: str, make: Make, input_size: int | None) -> Side:
    """Return the side that makes the views of one batch and resizes them."""
    return lambda: {name: timed(lambda: len(resized(make(), input_size)))}


def contest_of(case: str) -> Contest:
    """Return the contest at one size."""
    size, input_size = CASES[case]

    @contextmanager
    def opened(_: Conditions) -> Iterator[list[Side]]:
        yield [call(name, make, input_size) for name, make in makers(size).items()]

    return Contest(
        "augmentation",
        case,
        "seconds an image",
        opened,
        [ratio(OURS, peer, wanted) for peer, wanted in PEERS.items()],
        lambda turn: (1 + len(PEERS)) * turn,
        pick=min,
        needs_data=False,
    )


CONTESTS = [contest_of(case) for case in CASES]
