"""Where the time of a training step goes, and how near it comes to the bare arithmetic."""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from gratis.augmentation import Augment
from gratis.data import Batches
from gratis.model import logits_of
from gratis.objective import Objective
from gratis.recipe import Recipe
from gratis.run.build import build_to_measure, fit_to_data
from gratis.run.evaluation import load_once
from gratis.run.machine import device_name
from gratis.training.metrics import Averages
from gratis.training.trainer import Trainer

_ROUNDS = 5


@dataclass(frozen=True)
class Timing:
    """What a step costs.

    ``milliseconds`` of a step by part, each the mean over the steps measured, waiting for the
    device after each; ``images_per_second`` and ``passes_per_second`` without that waiting.
    ``share`` is the median over rounds of that throughput over the bare loop's, taken in turn:
    forward, backward and optimizer step of the same model on one batch, with the input gradient
    where the adversary needs it. ``memory`` is the peak in bytes: of the device, or on a CPU of
    the process.
    """

    milliseconds: Mapping[str, float]
    images_per_second: float
    passes_per_second: float
    share: float
    share_range: tuple[float, float]
    memory: int
    device: str


def time_recipe(recipe: Recipe, seconds: float = 10) -> Timing:
    """Train a recipe from the middle of its schedules for so many seconds; say where they went.

    Raises:
        GratisError: the data or the model cannot be had.
    """
    dataset = load_once(recipe.data)
    trainer, _ = build_to_measure(fit_to_data(recipe, dataset), dataset)
    bare = bare_loop(trainer)
    part = seconds / (2 * _ROUNDS + 2)
    _throughput(trainer, trainer.step, part / 2)
    _throughput(trainer, bare, part / 2)
    pairs = [
        (_throughput(trainer, trainer.step, part), _throughput(trainer, bare, part))
        for _ in range(_ROUNDS)
    ]
    shares = sorted(ours / limit for ours, limit in pairs)
    passes = statistics.median(ours for ours, _ in pairs)
    device = trainer.train_state.fabric.device
    return Timing(
        milliseconds=_parts(trainer, part),
        images_per_second=passes / trainer.cost,
        passes_per_second=passes,
        share=statistics.median(shares),
        share_range=(shares[0], shares[-1]),
        memory=_peak_memory(device),
        device=device_name(device),
    )


def _throughput(trainer: Trainer, step: Callable[[], float], seconds: float) -> float:
    """Return the passes a second of steps that return their passes."""
    device, passes = trainer.train_state.fabric.device, 0.0
    _wait(device)
    started = time.perf_counter()
    while (taken := time.perf_counter() - started) < seconds or not passes:
        passes += step()
    _wait(device)
    return passes / max(taken, time.perf_counter() - started)


def bare_loop(trainer: Trainer) -> Callable[[], float]:
    """Return a step of the bare arithmetic of ``trainer``'s steps, which returns its passes."""
    train_state = trainer.train_state
    batch = trainer.batches[0]
    views = batch.images.repeat(train_state.objective.views, 1, 1, 1)
    labels = batch.labels.repeat(train_state.objective.views)
    images = views.contiguous(memory_format=torch.channels_last)
    # What costs one pass takes the gradient of the input only for an adversary's sake.
    takes_input_gradient = "epsilon" in train_state.adversary.describe(0.0)

    def step() -> float:
        leaf = images.detach().requires_grad_(takes_input_gradient)
        logits = logits_of(train_state.model(leaf))
        train_state.optimizer.zero_grad()
        train_state.fabric.backward(functional.cross_entropy(logits, labels))
        train_state.optimizer.step()
        return trainer.cost / train_state.adversary.passes() * len(batch)

    return step


def _parts(trainer: Trainer, seconds: float) -> dict[str, float]:
    """Return the milliseconds of a step by part; what belongs to none is ``other``."""
    train_state = trainer.train_state
    taken: dict[str, float] = {}
    places = {
        "read": (Batches, "__getitem__"),
        "augment": (Augment, "__call__"),
        "perturb": (type(train_state.adversary), "perturb"),
        "forward": (type(train_state.model), "forward"),
        "loss": (Objective, "__call__"),
        "backward": (type(train_state.fabric), "backward"),
        "optimizer": (type(train_state.optimizer), "step"),
        "observe": (type(train_state.adversary), "observe"),
        "log": (Averages, "add"),
    }
    device, steps = train_state.fabric.device, 0
    with ExitStack() as stack:
        for name, (owner, method) in places.items():
            stack.enter_context(_timed(owner, method, name, taken, device))
        started = time.perf_counter()
        while time.perf_counter() - started < seconds or not steps:
            trainer.step()
            steps += 1
        total = time.perf_counter() - started
    parts = {name: 1000 * taken.get(name, 0.0) / steps for name in places}
    return parts | {"other": 1000 * total / steps - sum(parts.values())}


@contextmanager
def _timed(
    owner: type, method: str, name: str, taken: dict[str, float], device: torch.device
) -> Iterator[None]:
    """Add up the time spent in a method while the block runs."""
    own, real = method in vars(owner), getattr(owner, method)

    def timed(*arguments: Any, **named: Any) -> Any:
        _wait(device)
        started = time.perf_counter()
        try:
            return real(*arguments, **named)
        finally:
            _wait(device)
            taken[name] = taken.get(name, 0.0) + time.perf_counter() - started

    setattr(owner, method, timed)
    try:
        yield
    finally:
        if own:
            setattr(owner, method, real)
        else:
            delattr(owner, method)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
