"""Free training beside a loop written the way that public scripts of free training are.

The script: a ``DataLoader`` with two workers over an ``ImageFolder``, transforms of each picture
by itself, plain memory format, a loss that is read at every step. Ten classes, the same model.

Each side trains in a process of its own, ours as ``gratis train`` does, the script with torch and
the C library as they come: whatever our trainer settles for its process, such as how memory is
kept, must not help the script. The line of bf16 has other arithmetic than the script, and is
named so. Under ``defaults`` nobody sets a number of threads, whatever ``--threads`` says.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from benchmarks.base import Conditions, Contest, Side, at_least, ratio
from benchmarks.steps import MODELS, device, images_of, lasting, recipe_of, trainer_of
from benchmarks.worker import Worker
from gratis.data import Dataset
from gratis.model import Classifier, logits_of
from gratis.recipe import Recipe, with_overrides
from gratis.run.evaluation import load_once

REPLAYS, EPSILON, WORKERS = 4, 8 / 255, 2
OURS, BF16, SCRIPT = "ours", "ours in bf16", "script"
# The sides of each contest. In the one of fixed threads all have as many as everywhere else.
FIXED, DEFAULTS = "fixed", "defaults"
NAMES = {FIXED: (OURS, BF16, SCRIPT), DEFAULTS: (OURS, SCRIPT)}
WANTED = {OURS: at_least(1.5), BF16: None}
# As torch has it; every process sets a number, which those that it starts inherit.
DEFAULT_THREADS = torch.get_num_threads()


class Script:
    """Free training the way that scripts have it: one batch after the other, each replayed."""

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path) -> None:
        """Train a recipe's model on the images in ``folder``."""
        self._device = device()
        self._model = Classifier(recipe.model, len(dataset.classes)).train().to(self._device)
        images = datasets.ImageFolder(str(folder), views_of(recipe))
        self._loader = DataLoader(
            images,
            batch_size=min(recipe.train.batch_size, len(images)),
            shuffle=True,
            drop_last=True,
            num_workers=WORKERS,
            persistent_workers=True,
            pin_memory=self._device.type == "cuda",
        )
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=1e-3, foreach=False)
        self._criterion = nn.CrossEntropyLoss()
        shape = (recipe.train.batch_size, 3, dataset.size, dataset.size)
        self._noise = torch.zeros(shape, device=self._device)
        self._replays = self._endless()
        self.losses: list[float] = []

    def __call__(self) -> float:
        """Train on one replay; return its images."""
        images, labels = next(self._replays)
        noise = self._noise[: len(images)].clone().requires_grad_()
        seen = (images + noise).clamp(0, 1)
        loss = self._criterion(logits_of(self._model(seen)), labels)
        self._optimizer.zero_grad()
        loss.backward()
        assert noise.grad is not None
        self._noise[: len(images)] += EPSILON * torch.sign(noise.grad)
        self._noise.clamp_(-EPSILON, EPSILON)
        self._optimizer.step()
        self.losses.append(loss.item())
        return len(images)

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for images, labels in self._loader:
                images = images.to(self._device, non_blocking=True)
                labels = labels.to(self._device, non_blocking=True)
                for _ in range(REPLAYS):
                    yield images, labels


def views_of(recipe: Recipe) -> transforms.Compose:
    """Return a script's transforms, picture by picture, of about what the recipe augments with."""
    size = recipe.data.size
    own = recipe.augment
    assert own is not None
    return transforms.Compose(
        [
            transforms.Resize(size),
            transforms.ColorJitter(own.brightness, own.contrast, own.saturation, own.hue),
            transforms.RandomAffine(own.rotation, (own.shift, own.shift), own.scale),
            transforms.RandomResizedCrop(size, (own.crop**2, 1.0)),
            transforms.RandomHorizontalFlip(own.flip),
            transforms.ToTensor(),
        ]
    )


def top_of(root: Path) -> Path | None:
    """Return the folder of Tiny ImageNet, ``root`` or in it; ``None`` where there is none."""
    places = (root, root / "tiny-imagenet-200")
    return next((place for place in places if (place / "wnids.txt").exists()), None)


def link_classes(root: Path, classes: int, folder: Path) -> None:
    """Link the first classes' training images into ``folder``, one folder each."""
    top = top_of(root)
    assert top is not None
    for name in (top / "wnids.txt").read_text().split()[:classes]:
        os.symlink((top / "train" / name / "images").resolve(), folder / name)


def side_of(name: str, recipe: Recipe, folder: Path, seconds: float, threads: int) -> Side:
    """Return a side of ours or of the script, whose images are in ``folder``."""
    torch.set_num_threads(threads)
    dataset = load_once(recipe.data)
    if name == SCRIPT:
        return lasting(name, Script(recipe, dataset, folder), seconds)
    if name == BF16:
        recipe = with_overrides(recipe, ["train.precision=bf16-mixed"])
    return lasting(name, images_of(trainer_of(recipe, dataset)), seconds)


def contest_of(word: str, model: str) -> Contest:
    """Return the contest of free training in several ways."""
    names = NAMES[word]

    @contextmanager
    def opened(conditions: Conditions) -> Iterator[list[Side]]:
        changes = [*MODELS[model], f"adversary.free.replays={REPLAYS}"]
        recipe = recipe_of("free", changes, conditions)
        threads = conditions.threads if word == FIXED else DEFAULT_THREADS
        assert conditions.root is not None and recipe.data.classes is not None
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            link_classes(conditions.root, recipe.data.classes, folder)
            sides = [
                partial(side_of, name, recipe, folder, conditions.seconds, threads)
                for name in names
            ]
            yield [stack.enter_context(Worker(side)).turn for side in sides]

    lines = [
        ratio(SCRIPT, name, WANTED[name], f"images a second, {name} / {SCRIPT}")
        for name in names
        if name != SCRIPT
    ]
    return Contest(
        "script",
        f"{word}-{model}",
        "seconds an image",
        opened,
        lines,
        lambda turn: len(names) * turn,
    )


CONTESTS = [contest_of(word, model) for model in MODELS for word in NAMES]
