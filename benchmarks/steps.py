"""The models that are measured, their trainers, and how a side is timed."""

import json
import time
from collections.abc import Callable, Sequence

import timm  # noqa: F401 - imported once, before workers are forked, since it takes seconds
import torch
from lightning_fabric import Fabric

from benchmarks.base import Conditions, Side
from gratis.cli.allocator import keep_memory
from gratis.data import Dataset
from gratis.recipe import Recipe, resolve
from gratis.run.build import build_to_measure
from gratis.run.dependent_settings import resolve_dependent
from gratis.training.trainer import Trainer

PROFILE = "tiny-imagenet-small"
# The overrides of the profile that give each model.
NARROW, LARGE = "narrow-32px", "resnet18-64px"
MODELS: dict[str, list[str]] = {
    NARROW: [],
    LARGE: ["data.size=64", "model.input_size=64", "model.channels=null"],
}

# Does some work; returns its amount, in images or passes.
Step = Callable[[], float]


def device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return Fabric(accelerator="auto", devices=1).device


def synchronize() -> None:
    """Wait until the GPU, if there is one, has finished its queue."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def recipe_of(name: str, changes: Sequence[str], conditions: Conditions) -> Recipe:
    """Return a recipe under the measured profile, with overrides."""
    root = json.dumps(str(conditions.root))
    return resolve(name, PROFILE, [f"data.root={root}", *changes])


def trainer_of(recipe: Recipe, dataset: Dataset) -> Trainer:
    """Return the trainer of a recipe, halfway through its schedules.

    The process then keeps the memory that it frees, as under the command line.
    """
    keep_memory()
    return build_to_measure(resolve_dependent(recipe, dataset), dataset)[0]


def images_of(trainer: Trainer) -> Step:
    """Return the trainer's step as work that is counted in images."""
    return lambda: trainer.step() / trainer.cost


def seconds_per_unit(do: Step) -> float:
    """Return the seconds per image or pass, whichever ``do`` counts."""
    synchronize()
    began = time.perf_counter()
    done = do()
    synchronize()
    return (time.perf_counter() - began) / done


def for_seconds(name: str, step: Step, seconds: float) -> Side:
    """Return the side whose turn repeats ``step`` for about ``seconds``, at least once."""

    def steps() -> float:
        began, done = time.perf_counter(), 0.0
        while not done or time.perf_counter() - began < seconds:
            done += step()
        return done

    return lambda: {name: seconds_per_unit(steps)}
