"""Where the time of a training step goes, and its throughput against a bare loop."""

import logging
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
from gratis.run.build import build_to_measure
from gratis.run.dependent_settings import resolve_dependent
from gratis.run.loading import load_once
from gratis.run.machine import device_name
from gratis.torch_state import fresh_torch_state
from gratis.training.metrics import RunningMeans
from gratis.training.trainer import Trainer

logger = logging.getLogger(__name__)

_ROUNDS = 5


@dataclass(frozen=True)
class Timing:
    """What a training step costs.

    Attributes:
        milliseconds: of a step by part, the mean over the measured steps, with a device
            synchronisation after each part.
        images_per_second: without these synchronisations.
        passes_per_second: without these synchronisations.
        share: the throughput divided by that of the bare loop, the median over rounds in which
            both take turns. The bare loop is forward, backward and optimizer step of the same
            model on one batch, with the input gradient if the adversary needs it.
        share_range: the least and the greatest share.
        memory: the peak in bytes, of the GPU or, on a CPU, of the process.
        device: the name of the device.
    """

    milliseconds: Mapping[str, float]
    images_per_second: float
    passes_per_second: float
    share: float
    share_range: tuple[float, float]
    memory: int
    device: str


def time_recipe(recipe: Recipe, seconds: float = 10) -> Timing:
    """Train a recipe from the middle of its schedules, and time it; takes so many seconds in all.

    Loading the data and building the model are included, but not their timing.
    """
    deadline = time.perf_counter() + seconds
    dataset = load_once(recipe.data)
    untimed = recipe.train.model_copy(update={"budget": None})
    with fresh_torch_state("cuda" if torch.cuda.is_available() else "cpu"):
        resolved = resolve_dependent(recipe.model_copy(update={"train": untimed}), dataset)
        trainer, _ = build_to_measure(resolved, dataset)
        pairs = _compare(trainer, deadline)
        parts = _parts(trainer, deadline)
    shares = sorted(ours / limit for ours, limit in pairs)
    passes = statistics.median(ours for ours, _ in pairs)
    device = trainer.train_state.fabric.device
    return Timing(
        milliseconds=parts,
        images_per_second=passes / trainer.cost,
        passes_per_second=passes,
        share=statistics.median(shares),
        share_range=(shares[0], shares[-1]),
        memory=_peak_memory(device),
        device=device_name(device),
    )


def _compare(trainer: Trainer, deadline: float) -> list[tuple[float, float]]:
    """Return the passes per second of the trainer and of its bare loop, in rounds.

    Leaves time for :func:`_parts` before the deadline. The least is one step of each, after a
    first one that is slow and does not count.
    """
    bare = bare_loop(trainer)
    slowest = trainer.cost * trainer.batches.largest / _throughput(trainer, trainer.step, 0.0)
    left = deadline - time.perf_counter()
    if left > 4 * slowest:
        _throughput(trainer, bare, 0.0)
    elif left < 3 * slowest:
        logger.info(f"a step takes {slowest:.0f} s: three more are measured, the fewest possible")
    part = (deadline - time.perf_counter()) / (2 * _ROUNDS + 1)
    until, took = deadline - max(part, slowest), 0.0
    pairs: list[tuple[float, float]] = []
    while not pairs or (len(pairs) < _ROUNDS and time.perf_counter() + took < until):
        started = time.perf_counter()
        pairs.append((_throughput(trainer, trainer.step, part), _throughput(trainer, bare, part)))
        took = time.perf_counter() - started
    return pairs


def _throughput(trainer: Trainer, step: Callable[[], float], seconds: float) -> float:
    """Return the passes per second of ``step``, which returns its passes."""
    device, passes = trainer.train_state.fabric.device, 0.0
    _wait(device)
    started = time.perf_counter()
    while (taken := time.perf_counter() - started) < seconds or not passes:
        passes += step()
    _wait(device)
    return passes / max(taken, time.perf_counter() - started)


def bare_loop(trainer: Trainer) -> Callable[[], float]:
    """Return a step of the trainer's bare arithmetic; the step returns its number of passes."""
    train_state = trainer.train_state
    batch = trainer.batches[0]
    views = batch.images.repeat(train_state.objective.views, 1, 1, 1)
    labels = batch.labels.repeat(train_state.objective.views)
    images = views.contiguous(memory_format=torch.channels_last)
    # Natural training needs no gradient of the input.
    needs_input_gradient = train_state.adversary.perturbs

    def step() -> float:
        x = images.detach().requires_grad_(needs_input_gradient)
        logits = logits_of(train_state.model(x))
        train_state.optimizer.zero_grad()
        train_state.fabric.backward(functional.cross_entropy(logits, labels))
        train_state.optimizer.step()
        return trainer.cost / train_state.passes_per_view * len(batch)

    return step


def _parts(trainer: Trainer, deadline: float) -> dict[str, float]:
    """Return the milliseconds of a step by part; the rest is ``other``."""
    # So that the first step reads a batch, whichever replay it is.
    trainer.drop_batch()
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
        "delta": (type(train_state.adversary), "update_delta"),
        "log": (RunningMeans, "add"),
    }
    device, steps = train_state.fabric.device, 0
    with ExitStack() as stack:
        for name, (owner, method) in places.items():
            stack.enter_context(_timed(owner, method, name, taken, device))
        started = time.perf_counter()
        total = 0.0
        while not steps or time.perf_counter() + total / steps <= deadline:
            trainer.step()
            steps += 1
            total = time.perf_counter() - started
    # Views are made while a batch is read.
    taken["read"] -= taken.get("augment", 0.0)
    parts = {name: 1000 * taken.get(name, 0.0) / steps for name in places}
    return parts | {"other": 1000 * total / steps - sum(parts.values())}


@contextmanager
def _timed(
    owner: type, method: str, name: str, taken: dict[str, float], device: torch.device
) -> Iterator[None]:
    """Sum the time spent in a method while the block runs."""
    defined, real = method in vars(owner), getattr(owner, method)

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
        if defined:
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
