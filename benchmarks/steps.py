"""The models that are measured, and how their steps are."""

import json
import time
from collections.abc import Callable, Sequence

import timm  # noqa: F401 - once for all processes, each of which would import it for its model
import torch
from lightning_fabric import Fabric

from benchmarks.base import Conditions, Side
from gratis.data import Dataset
from gratis.recipe import Recipe, resolve
from gratis.run.build import build_to_measure
from gratis.training.trainer import Trainer

PROFILE = "tiny-imagenet-small"
# What the models are called, and what makes the profile's rows theirs.
NARROW, LARGE = "narrow-32px", "resnet18-64px"
MODELS: dict[str, list[str]] = {
    NARROW: [],
    LARGE: ["data.size=64", "model.input_size=64", "model.channels=null"],
}

# Does something; returns how much.
Step = Callable[[], float]


def device() -> torch.device:
    """Return the GPU, where there is one, or the CPU."""
    return Fabric(accelerator="auto", devices=1).device


def wait() -> None:
    """Wait until the GPU, where there is one, has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def recipe_of(name: str, changes: Sequence[str], conditions: Conditions) -> Recipe:
    """Return a recipe in the sizes that are measured."""
    root = json.dumps(str(conditions.root))
    return resolve(name, PROFILE, [f"data.root={root}", *changes])


def trainer_of(recipe: Recipe, dataset: Dataset) -> Trainer:
    """Return the trainer of a recipe, in the middle of its schedules."""
    return build_to_measure(recipe, dataset)[0]


def images_of(trainer: Trainer) -> Step:
    """Return the trainer's step, which returns on how many images it was."""
    return lambda: trainer.step() / trainer.cost


def timed(do: Step) -> float:
    """Return the seconds that one of what it does takes."""
    wait()
    began = time.perf_counter()
    done = do()
    wait()
    return (time.perf_counter() - began) / done


def lasting(name: str, step: Step, seconds: float) -> Side:
    """Return the side whose turn is as many steps as fit into so many seconds, at least one."""

    def steps() -> float:
        began, done = time.perf_counter(), 0.0
        while not done or time.perf_counter() - began < seconds:
            done += step()
        return done

    return lambda: {name: timed(steps)}
