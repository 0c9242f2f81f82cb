"""Seconds of PGD-20 in each library.

Ours runs in one process and the others in another, because ours makes the C library keep freed
memory and the others are measured with its defaults. They run in turn.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context

import torch
from torch import Tensor

from benchmarks.referees.tools import SEED, TOOLS, ours_until_fooled
from benchmarks.referees.workload import (
    AttackSetup,
    Workload,
    as_loaded,
    load_workload,
    prepare,
    with_folding,
)
from benchmarks.tables import spread
from gratis.attacks import AttackSettings, run_attack
from gratis.cli.allocator import keep_memory

STOPPED = "ours until fooled"
OURS = ("ours", STOPPED)
COLUMNS = ["model", "images", "model is", *TOOLS, STOPPED]
COLUMNS += ["gain over the fastest", "ideal", "share of the ideal"]
# Too small to change a prediction; ART refuses zero.
TINY = 1e-6
# A state of the model, and a tool.
Turn = tuple[str, str]


@contextmanager
def process() -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of one new process with default settings."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def speed(setup: AttackSetup, rounds: int) -> list[str]:
    """Return the table's lines for both epsilons and both states of the model."""
    lines = []
    for tiny in (True, False):
        with process() as ours, process() as others:
            taken = _rounds(setup, tiny, rounds, ours, others)
            ideal, survivors = ours.submit(ideal_gain, setup, tiny).result()
        what = "all survive" if tiny else f"{survivors} of {setup.images} survive"
        for state in ("given", "prepared"):
            peers = [taken[state, tool] for tool in TOOLS if tool != "ours"]
            seconds = taken["folded", STOPPED]
            fastest = [min(turn) for turn in zip(*peers, strict=True)]
            gains = [one / mine for one, mine in zip(fastest, seconds, strict=True)]
            cells = [spread(taken[state, tool]) for tool in TOOLS] + [spread(seconds)]
            gain = f"{spread(gains)} | {ideal:.2f} | {statistics.median(gains) / ideal:.2f}"
            lines.append(f"| {setup.run.name} | {what} | {state} | {' | '.join(cells)} | {gain} |")
    return lines


def _rounds(
    setup: AttackSetup,
    tiny: bool,
    rounds: int,
    ours: ProcessPoolExecutor,
    others: ProcessPoolExecutor,
) -> dict[Turn, list[float]]:
    """Return the seconds of each tool in every round."""
    turns: list[Turn] = [(state, tool) for state in ("given", "prepared") for tool in TOOLS]
    turns.append(("folded", STOPPED))
    taken: dict[Turn, list[float]] = {turn: [] for turn in turns}
    for number in range(rounds + 1):
        for turn in turns[:: -1 if number % 2 else 1]:
            pool = ours if turn[1] in OURS else others
            seconds = pool.submit(seconds_of, setup, tiny, turn).result()
            if number:  # the first round warms up
                taken[turn].append(seconds)
    return taken


def seconds_of(setup: AttackSetup, tiny: bool, turn: Turn) -> float:
    """Return the seconds of one turn; runs in a worker process."""
    state, tool = turn
    if tool in OURS:
        keep_memory()
    workload = _ready(setup, tiny) if state == "folded" else STATES[state](load_workload(setup))
    run = ours_until_fooled if tool == STOPPED else TOOLS[tool]
    settings = _settings(workload, tiny)
    began = time.perf_counter()
    run(workload.model, workload.images, workload.labels, settings)
    return time.perf_counter() - began


STATES: dict[str, Callable[[Workload], Workload]] = {"given": as_loaded, "prepared": prepare}


def _settings(workload: Workload, tiny: bool) -> AttackSettings:
    return AttackSettings.pgd(TINY if tiny else workload.epsilon)


def _ready(setup: AttackSetup, tiny: bool) -> Workload:
    """Return what our evaluation attacks; for the tiny epsilon with the model's own predictions."""
    ready = with_folding(prepare(load_workload(setup)))
    if not tiny:
        return ready
    with torch.no_grad():
        return replace(ready, labels=ready.model(ready.images).argmax(1))


def ideal_gain(setup: AttackSetup, tiny: bool) -> tuple[float, int]:
    """Return the ideal gain of not attacking fooled images again, and the number of survivors."""
    workload, seen = _ready(setup, tiny), list[int]()

    def classify(images: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            seen.append(len(images))
        logits: Tensor = workload.model(images)
        return logits

    settings = _settings(workload, tiny).model_copy(update={"until_fooled": True})
    rows = torch.arange(len(workload.labels))
    found = run_attack(classify, workload.images, workload.labels, settings, SEED, rows)
    return len(workload.labels) * settings.steps / sum(seen), int((~found.fooled).sum())
