"""How near training comes to the bare arithmetic, and how far a script's loop is from it.

    uv run python benchmarks/training.py --data-root DIR

DIR holds Tiny ImageNet; ten of its classes are used, on the CPU. Three tables:

- training, all included, over the bare loop: forward, backward and optimizer step of the same
  model on one batch that is already there, with the input gradient where the adversary needs it;
- what a step costs beside another: two views beside one, a denoiser beside none;
- free training beside a loop written the way that public scripts of free training are: a
  ``DataLoader`` with two workers over an ``ImageFolder``, transforms of each picture by itself,
  plain memory format, a loss that is read at every step.

Whatever is compared takes turns; a figure is the median of the rounds with the least and the
greatest.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from tables import spread, table
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from gratis.data import Dataset
from gratis.model import Classifier, logits_of
from gratis.recipe import Recipe, resolve
from gratis.run.build import build_to_measure
from gratis.run.evaluation import load_once
from gratis.run.timing import time_recipe
from gratis.train.loop import Trainer

PROFILE = "tiny-imagenet-small"
# The size in pixels, and what makes of the profile's model the one that is measured there.
MODELS = {
    "narrow ResNet-18, 32 px": [],
    "ResNet-18, 64 px": ["data.size=64", "model.input_size=64", "model.channels=null"],
}
ALONE = ["augmented", "free", "contrastive-scheduled"]
Side = tuple[str, list[str]]
DENOISER = ["model.denoiser={width: 8}", "objective.reconstruction={weight: 1}"]
# What is compared, each with the recipe and changes of both sides.
PAIRS: dict[str, tuple[Side, Side]] = {
    "two views beside one": (("contrastive-high", []), ("augmented", [])),
    "a denoiser beside none": (("contrastive-high", DENOISER), ("contrastive-high", [])),
}
REPLAYS, EPSILON, WORKERS = 4, 8 / 255, 2

Step = Callable[[], int]


def recipe_of(name: str, changes: list[str], root: Path) -> Recipe:
    """Return a recipe in the sizes that are measured."""
    return resolve(name, PROFILE, [f"data.root={json.dumps(str(root))}", *changes])


def trainer_of(recipe: Recipe, dataset: Dataset) -> Trainer:
    """Return the trainer of a recipe, in the middle of its schedules."""
    return build_to_measure(recipe, dataset)[0]


def images_of(trainer: Trainer) -> Step:
    """Return a step that tells on how many images it was."""
    return lambda: round(trainer.step() / trainer.cost)


def rate(step: Step, seconds: float) -> float:
    """Return the images a second of steps that last so long together."""
    began, images = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        images += step()
    return images / (time.perf_counter() - began)


def rounds_of(steps: list[Step], rounds: int, seconds: float) -> list[list[float]]:
    """Return the images a second of every step, for every round; all take turns within one."""
    for step in steps:
        rate(step, seconds / 2)
    return [[rate(step, seconds) for step in steps] for _ in range(rounds)]


def shares(root: Path, seconds: float) -> Iterator[str]:
    """Yield how near each kind of training comes to the bare loop."""
    for model, changes in MODELS.items():
        for name in ALONE:
            found = time_recipe(recipe_of(name, changes, root), seconds)
            low, high = found.share_range
            share = f"{found.share:.3f} ({low:.3f} to {high:.3f})"
            yield f"| {model} | {name} | {share} | {found.passes_per_second:.0f} |"


def ratios(root: Path, rounds: int, seconds: float) -> Iterator[str]:
    """Yield what steps cost beside others."""
    for model, changes in MODELS.items():
        for what, sides in PAIRS.items():
            recipes = [recipe_of(name, changes + more, root) for name, more in sides]
            dataset = load_once(recipes[0].data)
            steps = [images_of(trainer_of(recipe, dataset)) for recipe in recipes]
            found = rounds_of(steps, rounds, seconds)
            times = [base / more for more, base in found]
            yield f"| {model} | {what} | {spread(times, digits=3)} |"


class Script:
    """Free training the way that scripts have it: one batch after the other, each replayed."""

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path) -> None:
        """Train a recipe's model on the images in ``folder``."""
        self._model = Classifier(recipe.model, len(dataset.classes)).train()
        self._loader = DataLoader(
            datasets.ImageFolder(str(folder), views_of(recipe)),
            batch_size=recipe.train.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=WORKERS,
            persistent_workers=True,
        )
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=1e-3, foreach=False)
        self._criterion = nn.CrossEntropyLoss()
        size = recipe.data.size
        assert size is not None
        self._noise = torch.zeros(recipe.train.batch_size, 3, size, size)
        self._replays = self._endless()
        self.losses: list[float] = []

    def __call__(self) -> int:
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


def scripts(root: Path, rounds: int, seconds: float) -> Iterator[str]:
    """Yield how many times the images of a script's loop ours trains on."""
    for model, changes in MODELS.items():
        recipe = recipe_of("free", [*changes, f"adversary.free.replays={REPLAYS}"], root)
        dataset = load_once(recipe.data)
        with tempfile.TemporaryDirectory() as folder:
            link_classes(root, len(dataset.classes), Path(folder))
            steps: list[Step] = [
                images_of(trainer_of(recipe, dataset)),
                Script(recipe, dataset, Path(folder)),
            ]
            found = rounds_of(steps, rounds, seconds)
        yield f"| {model} | {spread([ours / theirs for ours, theirs in found], digits=3)} |"


def link_classes(root: Path, classes: int, folder: Path) -> None:
    """Link the first classes' training images into ``folder``, one folder each."""
    top = next(
        path for path in (root, *root.glob("tiny-imagenet-200")) if (path / "wnids.txt").exists()
    )
    for name in sorted(path.name for path in (top / "train").iterdir())[:classes]:
        os.symlink((top / "train" / name / "images").resolve(), folder / name)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description="Training beside the bare arithmetic.")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each side, a round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    own = parser.parse_args()
    # Before torch looks: the script's loop, as it stands, is for a CPU.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(own.threads)
    print(f"{own.threads} thread(s), torch {torch.__version__}", flush=True)
    alike = {"root": own.data_root, "seconds": own.seconds}
    table(
        ["model", "training", "share of the bare loop", "passes a second"],
        shares(own.data_root, own.seconds * (2 * own.rounds + 2)),
    )
    table(["model", "what", "time"], ratios(rounds=own.rounds, **alike))
    table(["model", "times a script's images a second"], scripts(rounds=own.rounds, **alike))


if __name__ == "__main__":
    main()
