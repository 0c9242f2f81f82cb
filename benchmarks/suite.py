"""All comparisons, in the order of the table."""

from collections.abc import Sequence

from benchmarks import (
    augmentation,
    curves,
    free_pass,
    memory,
    reading,
    script_loop,
    training,
)
from benchmarks.base import Comparison

MODULES = (training, script_loop, free_pass, augmentation, reading, curves, memory)
COMPARISONS: list[Comparison] = [
    comparison for module in MODULES for comparison in module.COMPARISONS
]


def chosen(only: Sequence[str]) -> list[Comparison]:
    """Return the comparisons whose topic or title is in ``only``; all of them if it is empty.

    Raises:
        ValueError: no topic or comparison has that name.
    """
    known = {name for comparison in COMPARISONS for name in (comparison.topic, comparison.title)}
    if unknown := [name for name in only if name not in known]:
        raise ValueError(f"no benchmark {unknown[0]!r}; --help lists them")
    return [
        comparison
        for comparison in COMPARISONS
        if not only or comparison.topic in only or comparison.title in only
    ]
