"""Holds the contests, one like the other: a round that warms up, then rounds that count."""

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.base import Conditions, Contest, Figures, Line, Side
from benchmarks.steps import device
from benchmarks.worker import alone
from gratis.run.machine import commit, device_name, versions

# What is written of a contest or of the machine.
Record = dict[str, Any]


def about(conditions: Conditions, rounds: int) -> Record:
    """Return what was measured on, with what, and how."""

    def named() -> str:
        torch.set_num_threads(conditions.threads)
        return device_name(device())

    return {
        # In a process that ends: one that has looked for a GPU cannot be forked.
        "device": alone(named),
        "threads": conditions.threads,
        "versions": versions(),
        "commit": commit(),
        "rounds": rounds,
        "seconds": conditions.seconds,
    }


def held(contest: Contest, conditions: Conditions, rounds: int) -> Record:
    """Hold a contest in a process of its own; return all its figures and its lines.

    Raises:
        Failed: it ended with an error.
    """
    found = alone(lambda: measured(contest, conditions, rounds))
    return {
        "evaluated": contest.evaluated,
        "name": contest.name,
        "unit": contest.unit,
        "figures": {name: [one[name] for one in found] for name in found[0]},
        "lines": [_told(line, found) for line in contest.lines],
    }


def measured(contest: Contest, conditions: Conditions, rounds: int) -> list[Figures]:
    """Hold a contest in this process; return the figures of the rounds that count."""
    torch.set_num_threads(conditions.threads)
    torch.manual_seed(0)
    with contest.open(conditions) as sides:
        # Forwards, then backwards, so that nobody always follows the same other one.
        orders = [list(sides), list(sides)[::-1]]
        found = [_round(contest, orders, conditions.seconds) for _ in range(1 + rounds)]
    return found[1:]


def _round(contest: Contest, orders: list[list[Side]], seconds: float) -> Figures:
    taken: dict[str, list[float]] = defaultdict(list)
    began = time.perf_counter()
    lasts = seconds * len(orders[0])
    while not taken or (contest.pick and time.perf_counter() - began < lasts):
        for side in orders[0]:
            for name, value in side().items():
                taken[name].append(value)
        orders.reverse()
    pick = contest.pick or statistics.mean
    return {name: pick(values) for name, values in taken.items()}


def _told(line: Line, rounds: Sequence[Figures]) -> Record:
    values = [line.value(figures) for figures in rounds]
    median = statistics.median(values)
    return {
        "name": line.name,
        "values": values,
        "median": median,
        "least": min(values),
        "greatest": max(values),
        "wanted": str(line.wanted) if line.wanted else None,
        "reached": line.wanted.reached(median) if line.wanted else None,
    }
