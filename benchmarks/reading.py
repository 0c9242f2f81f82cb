"""How fast images come from the store, beside a ``DataLoader`` over an ``ImageFolder``.

    uv run python benchmarks/reading.py --data-root DIR

DIR holds Tiny ImageNet; the first ten classes are read at 64 px. A reading hands out every
training image once, as float32 in [0, 1], in shuffled batches. The first reading of ours decodes
the images, and those of validation, into an empty store. A later run looks whether the store is
sound, maps it into memory and reads; then it reads on. The ``DataLoader`` has been opened before,
and decodes every time, with two workers that stay. Readings take turns; the figure is the median
of the rounds with the least and the greatest.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import torch
from tables import spread
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from training import link_classes

from gratis.data import Batches, DataSettings, Split, load
from gratis.recipe import resolve_data

CLASSES, BATCH, WORKERS = 10, 128, 2


def ours(settings: DataSettings, opened: Split | None = None) -> float:
    """Return the images a second of one reading; the data set is opened too if it is not yet."""
    began = time.perf_counter()
    split = opened or load(settings).train
    indices = torch.arange(len(split)).numpy()
    images = sum(len(batch.images) for batch in Batches(split, indices, BATCH, 0, "cpu"))
    return images / (time.perf_counter() - began)


def theirs(loader: DataLoader[object]) -> float:
    """Return the images a second of one traversal."""
    began = time.perf_counter()
    images = sum(len(labels) for _, labels in loader)
    return images / (time.perf_counter() - began)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description="Reading images.")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    own = parser.parse_args()
    root = json.dumps(str(own.data_root))
    changes = ["data.name=tiny-imagenet", f"data.root={root}", f"data.classes={CLASSES}"]
    settings = resolve_data(changes)
    rows: dict[str, list[float]] = {"first": [], "later": [], "on": []}
    with tempfile.TemporaryDirectory() as folder:
        link_classes(own.data_root, CLASSES, Path(folder))
        loader = DataLoader(
            datasets.ImageFolder(folder, transforms.ToTensor()),
            batch_size=BATCH,
            shuffle=True,
            num_workers=WORKERS,
            persistent_workers=True,
        )
        theirs(loader)
        for _ in range(own.rounds):
            with tempfile.TemporaryDirectory() as cache:
                os.environ["GRATIS_CACHE"] = cache
                found = [ours(settings), ours(settings), ours(settings, load(settings).train)]
            peer = theirs(loader)
            for row, mine in zip(rows.values(), found, strict=True):
                row.append(mine / peer)
    print(f"torch {torch.__version__}, {os.cpu_count()} cores\n")
    print("| reading | times the images a second of the DataLoader |\n| --- | --- |")
    print(f"| first run: decoding into the store, one epoch | {spread(rows['first'])} |")
    print(f"| later run: opening the store, one epoch | {spread(rows['later'])} |")
    print(f"| every further epoch | {spread(rows['on'])} |")


if __name__ == "__main__":
    main()
