"""Markdown tables of what was measured."""

import statistics
from collections.abc import Iterable


def spread(values: list[float], scale: float = 1, digits: int = 2) -> str:
    """Return the median of ``values`` and, in brackets, the least and the greatest."""
    middle, low, high = (scale * f(values) for f in (statistics.median, min, max))
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def table(columns: list[str], lines: Iterable[str]) -> None:
    """Print a Markdown table, each line as soon as it is measured."""
    print(f"\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for line in lines:
        print(line, flush=True)
