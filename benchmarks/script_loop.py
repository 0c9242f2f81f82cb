"""Free training beside a loop written like the public scripts of free training.

The script has a ``DataLoader`` with two workers over an ``ImageFolder``, transforms of one image at
a time, the contiguous memory format, and reads the loss at every step. Both sides train the same
model on ten classes.

Each side trains in its own process. Ours sets up its process as ``gratis train`` does; the script
keeps the defaults of torch and the C library. The bf16 line compares different arithmetic and says
so in its name. Under ``defaults`` no side sets a number of threads, regardless of ``--threads``.
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

from benchmarks.base import Comparison, Conditions, Side, at_least, ratio
from benchmarks.steps import MODELS, device, for_seconds, images_of, recipe_of, trainer_of
from benchmarks.worker import Worker
from gratis.cpu import use_quick_stem
from gratis.data import Dataset
from gratis.model import Classifier, logits_of
from gratis.recipe import Recipe, with_overrides
from gratis.run.loading import load_once

REPLAYS, EPSILON, WORKERS = 4, 8 / 255, 2
OURS, BF16, SCRIPT = "ours", "ours in bf16", "script"
# The sides of each comparison. With fixed threads all sides use ``--threads``.
FIXED, DEFAULTS = "fixed", "defaults"
NAMES = {FIXED: (OURS, BF16, SCRIPT), DEFAULTS: (OURS, SCRIPT)}
TARGETS = {OURS: at_least(1.5), BF16: None}
# torch's default; recorded here because every process sets a number that its children inherit.
DEFAULT_THREADS = torch.get_num_threads()


class Script:
    """Free training as public scripts write it: one batch after another, each replayed."""

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path) -> None:
        """Prepare to train a recipe's model on the images in ``folder``."""
        self._device = device()
        self._model = Classifier(recipe.model, len(dataset.classes)).train().to(self._device)
        use_quick_stem(self._model.backbone)
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
        """Train on one replay; return its number of images."""
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
    """Return a script's transforms of one image, close to the recipe's augmentation."""
    size = recipe.data.size
    how = recipe.augment
    assert how is not None
    return transforms.Compose(
        [
            transforms.Resize(size),
            transforms.ColorJitter(how.brightness, how.contrast, how.saturation, how.hue),
            transforms.RandomAffine(how.rotation, (how.shift, how.shift), how.scale),
            transforms.RandomResizedCrop(size, (how.crop**2, 1.0)),
            transforms.RandomHorizontalFlip(how.flip),
            transforms.ToTensor(),
        ]
    )


def find_tiny_imagenet(root: Path) -> Path | None:
    """Return the folder of Tiny ImageNet, which is ``root`` or lies in it, or ``None``."""
    places = (root, root / "tiny-imagenet-200")
    return next((place for place in places if (place / "wnids.txt").exists()), None)


def link_classes(root: Path, classes: int, folder: Path) -> None:
    """Link the first classes' training images into ``folder``, one folder each."""
    top = find_tiny_imagenet(root)
    assert top is not None
    for name in (top / "wnids.txt").read_text().split()[:classes]:
        os.symlink((top / "train" / name / "images").resolve(), folder / name)


def side_of(name: str, recipe: Recipe, folder: Path, seconds: float, threads: int) -> Side:
    """Return the side called ``name``, whose images are in ``folder``."""
    torch.set_num_threads(threads)
    dataset = load_once(recipe.data)
    if name == SCRIPT:
        return for_seconds(name, Script(recipe, dataset, folder), seconds)
    if name == BF16:
        recipe = with_overrides(recipe, ["train.precision=bf16-mixed"])
    return for_seconds(name, images_of(trainer_of(recipe, dataset)), seconds)


def comparison_of(word: str, model: str) -> Comparison:
    """Return the comparison of free training by gratis and by the script."""
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
        ratio(SCRIPT, name, TARGETS[name], f"images a second, {name} / {SCRIPT}")
        for name in names
        if name != SCRIPT
    ]
    return Comparison(
        "script",
        f"{word}-{model}",
        "seconds an image",
        opened,
        lines,
        lambda turn: len(names) * turn,
    )


COMPARISONS = [comparison_of(word, model) for model in MODELS for word in NAMES]
