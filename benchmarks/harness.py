"""Measures every comparison alike: one round to warm up, then the rounds that count."""

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.base import Comparison, Conditions, Figures, Line, Side
from benchmarks.steps import device
from benchmarks.worker import in_own_process
from gratis.run.machine import commit, device_name, versions

# A JSON object about a comparison or the machine.
Record = dict[str, Any]


def about(conditions: Conditions, rounds: int) -> Record:
    """Return the machine, the versions and the conditions of the measurement."""

    def name() -> str:
        torch.set_num_threads(conditions.threads)
        return device_name(device())

    return {
        # In a process that ends: a process that has looked for a GPU cannot be forked.
        "device": in_own_process(name),
        "threads": conditions.threads,
        "versions": versions(),
        "commit": commit(),
        "rounds": rounds,
        "seconds": conditions.seconds,
    }


def record_of(comparison: Comparison, conditions: Conditions, rounds: int) -> Record:
    """Measure a comparison in a new process; return its figures and its lines.

    Raises:
        WorkerError: the process ended with an error.
    """
    found = in_own_process(lambda: measured(comparison, conditions, rounds))
    return {
        "topic": comparison.topic,
        "name": comparison.name,
        "unit": comparison.unit,
        "figures": {name: [figures[name] for figures in found] for name in found[0]},
        "lines": [_line_record(line, found) for line in comparison.lines],
    }


def measured(comparison: Comparison, conditions: Conditions, rounds: int) -> list[Figures]:
    """Measure a comparison in this process; return the figures of the rounds that count."""
    torch.set_num_threads(conditions.threads)
    torch.manual_seed(0)
    with comparison.open(conditions) as sides:
        # Alternate the order, so that no side always follows the same other side.
        orders = [list(sides), list(sides)[::-1]]
        found = [_round(comparison, orders, conditions.seconds) for _ in range(1 + rounds)]
    return found[1:]


def _round(comparison: Comparison, orders: list[list[Side]], seconds: float) -> Figures:
    found: dict[str, list[float]] = defaultdict(list)
    began = time.perf_counter()
    duration = seconds * len(orders[0])
    while not found or (comparison.pick and time.perf_counter() - began < duration):
        for side in orders[0]:
            for name, value in side().items():
                found[name].append(value)
        orders.reverse()
    pick = comparison.pick or statistics.mean
    return {name: pick(values) for name, values in found.items()}


def _line_record(line: Line, rounds: Sequence[Figures]) -> Record:
    values = [line.value(figures) for figures in rounds]
    median = statistics.median(values)
    return {
        "name": line.name,
        "values": values,
        "median": median,
        "least": min(values),
        "greatest": max(values),
        "target": str(line.target) if line.target else None,
        "met": line.target.met(median) if line.target else None,
    }
