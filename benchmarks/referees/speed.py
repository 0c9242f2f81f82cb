"""Seconds of PGD-20 in each library.

Ours runs in one process and the others in another, since ours tells the C library's allocator
to keep its memory, and they are to find it as everybody does. They take turns.
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

from benchmarks.referees.material import Asked, Material, folded_of, given, material_of, prepare
from benchmarks.referees.tools import SEED, TOOLS, ours_until_fooled
from benchmarks.tables import spread
from gratis.attacks import AttackSettings, run_attack
from gratis.cli.allocator import keep_memory

STOPPED = "ours until fooled"
OURS = ("ours", STOPPED)
COLUMNS = ["model", "images", "model is", *TOOLS, STOPPED]
COLUMNS += ["gain over the fastest", "ideal", "share of the ideal"]
# Moves nobody across a border; zero is refused by ART.
TINY = 1e-6
# A state of the model, and a tool.
Turn = tuple[str, str]


@contextmanager
def process() -> Iterator[ProcessPoolExecutor]:
    """Lend a fresh process with everybody's defaults."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def speed(asked: Asked, rounds: int) -> list[str]:
    """Return a line of the table for each way to run PGD-20."""
    lines = []
    for tiny in (True, False):
        with process() as own, process() as others:
            taken = _rounds(asked, tiny, rounds, own, others)
            ideal, survivors = own.submit(ideal_gain, asked, tiny).result()
        what = "all survive" if tiny else f"{survivors} of {asked.images} survive"
        for state in ("given", "prepared"):
            peers = [taken[state, tool] for tool in TOOLS if tool != "ours"]
            seconds = taken["folded", STOPPED]
            fastest = [min(turn) for turn in zip(*peers, strict=True)]
            gains = [one / mine for one, mine in zip(fastest, seconds, strict=True)]
            cells = [spread(taken[state, tool]) for tool in TOOLS] + [spread(seconds)]
            gain = f"{spread(gains)} | {ideal:.2f} | {statistics.median(gains) / ideal:.2f}"
            lines.append(f"| {asked.run.name} | {what} | {state} | {' | '.join(cells)} | {gain} |")
    return lines


def _rounds(
    asked: Asked, tiny: bool, rounds: int, own: ProcessPoolExecutor, others: ProcessPoolExecutor
) -> dict[Turn, list[float]]:
    """Return how long each tool takes, for every round; all take their turn within one."""
    turns: list[Turn] = [(state, tool) for state in ("given", "prepared") for tool in TOOLS]
    turns.append(("folded", STOPPED))
    taken: dict[Turn, list[float]] = {turn: [] for turn in turns}
    for number in range(rounds + 1):
        for turn in turns[:: -1 if number % 2 else 1]:
            pool = own if turn[1] in OURS else others
            seconds = pool.submit(seconds_of, asked, tiny, turn).result()
            if number:  # the first round only warms up
                taken[turn].append(seconds)
    return taken


def seconds_of(asked: Asked, tiny: bool, turn: Turn) -> float:
    """Return how long a tool takes, in a process of its own."""
    state, tool = turn
    if tool in OURS:
        keep_memory()
    it = _ready(asked, tiny) if state == "folded" else STATES[state](material_of(asked))
    run = ours_until_fooled if tool == STOPPED else TOOLS[tool]
    how = _settings(it, tiny)
    began = time.perf_counter()
    run(it.model, it.images, it.labels, how)
    return time.perf_counter() - began


STATES: dict[str, Callable[[Material], Material]] = {"given": given, "prepared": prepare}


def _settings(it: Material, tiny: bool) -> AttackSettings:
    return AttackSettings.pgd(TINY if tiny else it.epsilon)


def _ready(asked: Asked, tiny: bool) -> Material:
    """Return what our evaluation attacks; where all are to survive, under the model's labels."""
    ready = folded_of(prepare(material_of(asked)))
    if not tiny:
        return ready
    with torch.no_grad():
        return replace(ready, labels=ready.model(ready.images).argmax(1))


def ideal_gain(asked: Asked, tiny: bool) -> tuple[float, int]:
    """Return by how much sparing the fallen could be faster at best, and how many survive."""
    it, seen = _ready(asked, tiny), list[int]()

    def classify(images: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            seen.append(len(images))
        logits: Tensor = it.model(images)
        return logits

    how = _settings(it, tiny).model_copy(update={"until_fooled": True})
    rows = torch.arange(len(it.labels))
    found = run_attack(classify, it.images, it.labels, how, SEED, rows)
    return len(it.labels) * how.steps / sum(seen), int((~found.fooled).sum())
