"""The speed of reading images from the store beside a ``DataLoader`` over an ``ImageFolder``.

The images are the first ten classes of Tiny ImageNet at 64 px. A reading yields every training
image once, as float32 in [0, 1], in shuffled batches. The store is read three times: the first run
decodes the training and validation images into an empty store; a later run verifies the store,
maps it into memory and reads it; a further epoch only reads it. The ``DataLoader`` is opened
beforehand and decodes at every reading, with two persistent workers.

Each side reads in its own process, which trains nothing and has the default memory allocator.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from benchmarks.base import Comparison, Conditions, Figures, Side, at_least, ratio
from benchmarks.script_loop import link_classes
from benchmarks.worker import Worker
from gratis.data import Batches, DataSettings, Split, load
from gratis.recipe import resolve_data

CLASSES, BATCH, WORKERS = 10, 128, 2
FIRST, LATER, FURTHER = "first run, decoding", "later run, opening included", "further epochs"
LOADER = "DataLoader"


def seconds_of(settings: DataSettings, opened: Split | None = None) -> float:
    """Return the seconds per image of one reading; open the data set unless ``opened`` is given."""
    began = time.perf_counter()
    split = opened or load(settings).train
    indices = torch.arange(len(split)).numpy()
    images = sum(len(batch.images) for batch in Batches(split, indices, BATCH, 0, "cpu"))
    return (time.perf_counter() - began) / images


def store(settings: DataSettings) -> Side:
    """Return the side that reads a new store three times."""

    def readings() -> Figures:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["GRATIS_CACHE"] = cache
            first, later = seconds_of(settings), seconds_of(settings)
            return {
                FIRST: first,
                LATER: later,
                FURTHER: seconds_of(settings, load(settings).train),
            }

    return readings


def loader(folder: Path) -> Side:
    """Return the side that reads through a ``DataLoader``."""
    batches = DataLoader(
        datasets.ImageFolder(str(folder), transforms.ToTensor()),
        batch_size=BATCH,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )

    def reading() -> Figures:
        began = time.perf_counter()
        images = sum(len(labels) for _, labels in batches)
        return {LOADER: (time.perf_counter() - began) / images}

    return reading


@contextmanager
def _opened(conditions: Conditions) -> Iterator[list[Side]]:
    root = conditions.root
    assert root is not None
    where = f"data.root={json.dumps(str(root))}"
    settings = resolve_data(["data.name=tiny-imagenet", where, f"data.classes={CLASSES}"])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        link_classes(root, CLASSES, folder)
        sides = [partial(store, settings), partial(loader, folder)]
        yield [stack.enter_context(Worker(side)).turn for side in sides]


_TARGETS = {FIRST: None, LATER: None, FURTHER: at_least(20)}
COMPARISONS = [
    Comparison(
        "reading",
        "64px",
        "seconds an image",
        _opened,
        [
            ratio(LOADER, row, target, f"images a second, {row} / {LOADER}")
            for row, target in _TARGETS.items()
        ],
        # About the time to decode 5,000 images twice.
        lambda turn: 12.0,
    )
]
