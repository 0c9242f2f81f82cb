"""Markdown tables of what was measured."""

import statistics
from collections.abc import Iterable


def spread(values: list[float], scale: float = 1, digits: int = 2) -> str:
    """Return the median of ``values`` and, in brackets, the least and the greatest."""
    middle, low, high = (scale * f(values) for f in (statistics.median, min, max))
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def table(columns: list[str], lines: Iterable[str]) -> list[dict[str, str]]:
    """Print a Markdown table, each line as soon as it is measured; return its rows by column."""
    print(f"\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    rows = []
    for line in lines:
        print(line, flush=True)
        cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows.append(dict(zip(columns, cells, strict=True)))
    return rows
