"""The cost of random views beside one bare resampling, kornia and torchvision.

Every side makes one view of each image of the same batch, with changed colours, rotation, scale,
shift, crop and flip within gratis's default ranges. A figure is the fastest call of a round, since
other load on the machine can only slow a call down. The peers:

- bare: ``grid_sample`` alone on the same images in channels last, with a grid computed beforehand;
- kornia: its layers on the batch, with random numbers for every image; on contiguous images, on
  which it is faster;
- torchvision per image: its transforms on one contiguous image after another, then stacked, as a
  worker of a ``DataLoader`` does;
- torchvision per batch: the same transforms on the whole batch, which shares one set of random
  numbers.

In ``64-to-224px`` all views, also those of the bare resampling, are resized as the models do it.
All sides run in one process with the default memory allocator.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import InterpolationMode, v2

from benchmarks.base import Comparison, Conditions, Side, at_most, ratio
from benchmarks.steps import device, seconds_per_unit
from gratis.augmentation import Augment, AugmentSettings
from gratis.model.resizing import resized
from gratis.seeds import generator

Make = Callable[[], Tensor]
# The images' size, and the network's input size.
CASES: dict[str, tuple[int, int | None]] = {
    "32px": (32, None),
    "64px": (64, None),
    "64-to-224px": (64, 224),
}
OURS = "ours"
# The target for our time as a share of the peer's.
PEERS = {
    "bare": at_most(1.5),
    "kornia": at_most(0.6),
    "torchvision per image": at_most(0.25),
    "torchvision per batch": None,
}
HOW = AugmentSettings()
IMAGES = 128


def kornia_layers(size: int) -> nn.Module:
    """Return kornia's layers for images of ``size`` pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Imported here because it is slow and other comparisons do not need it.
        import kornia.augmentation as layers
    # The faster of its two cropping modes.
    return nn.Sequential(
        layers.ColorJiggle(HOW.brightness, HOW.contrast, HOW.saturation, HOW.hue, p=1.0),
        layers.RandomAffine(HOW.rotation, (HOW.shift, HOW.shift), HOW.scale, p=1.0),
        layers.RandomResizedCrop(
            (size, size), (HOW.crop**2, 1.0), (1.0, 1.0), p=1.0, cropping_mode="slice"
        ),
        layers.RandomHorizontalFlip(HOW.flip),
    )


def torchvision_transforms(size: int) -> v2.Transform:
    """Return torchvision's transforms for images of ``size`` pixels."""
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


def view_functions(size: int) -> dict[str, Make]:
    """Return a function for each side that makes the views of one batch of noise."""
    place = device()
    flat = torch.rand((IMAGES, 3, size, size), device=place)
    images = flat.contiguous(memory_format=torch.channels_last)
    source = generator(place, "benchmark")
    ours, layers, transforms = Augment(HOW), kornia_layers(size), torchvision_transforms(size)
    _, affines = ours(images, source)
    grid = functional.affine_grid(affines, list(images.shape), align_corners=False)
    return {
        OURS: lambda: ours(images, source)[0],
        "bare": lambda: functional.grid_sample(images, grid, align_corners=False),
        "kornia": lambda: layers(flat),
        "torchvision per image": lambda: torch.stack([transforms(image) for image in flat]),
        "torchvision per batch": lambda: transforms(flat),
    }


def side_of(name: str, make: Make, input_size: int | None) -> Side:
    """Return the side that makes the views of one batch and resizes them."""
    return lambda: {name: seconds_per_unit(lambda: len(resized(make(), input_size)))}


def comparison_of(case: str) -> Comparison:
    """Return the comparison of one case."""
    size, input_size = CASES[case]

    @contextmanager
    def opened(_: Conditions) -> Iterator[list[Side]]:
        yield [side_of(name, make, input_size) for name, make in view_functions(size).items()]

    return Comparison(
        "augmentation",
        case,
        "seconds an image",
        opened,
        [ratio(OURS, peer, target) for peer, target in PEERS.items()],
        lambda turn: (1 + len(PEERS)) * turn,
        pick=min,
        needs_data=False,
    )


COMPARISONS = [comparison_of(case) for case in CASES]
