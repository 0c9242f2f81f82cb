"""Lines of the JSON-lines log as named values, with the names that charts show."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

_POSITION = ("kind", "step", "epoch", "passes")
_RATES = ("images_per_second", "passes_per_second")


class Entry(NamedTuple):
    """The values at one step, by name."""

    step: int
    values: dict[str, float]


def entry_of(line: Mapping[str, Any], terms: Collection[str], prefix: str = "") -> Entry:
    """Return the numbers of a line of ``metrics.jsonl``.

    Args:
        line: of the kind ``step``, ``epoch``, or an event.
        terms: the names of the terms of the objective.
        prefix: what every name begins with.

    Returns:
        Names such as ``train/loss``, ``schedule/epsilon``, ``speed/images_per_second``,
        ``epoch/accuracy`` (the mean of an epoch), ``held_out/pgd`` and ``budget/planned``.
    """
    kind, found = str(line["kind"]), {}
    for name, value in _flat(line):
        if "/" not in name:
            name = f"{_group(kind, name, terms)}/{name}"
        found[f"{prefix}{name}"] = value
    if kind == "step":
        found |= {f"{prefix}progress/{name}": float(line[name]) for name in ("epoch", "passes")}
    return Entry(int(line["step"]), found)


def _flat(line: Mapping[str, Any]) -> list[tuple[str, float]]:
    numbers = []
    for name, value in line.items():
        inner = value.items() if isinstance(value, dict) else ()
        numbers += [(f"{name}/{key}", number) for key, number in inner]
        if name not in _POSITION:
            numbers.append((name, value))
    return [(n, float(v)) for n, v in numbers if isinstance(v, int | float)]


def _group(kind: str, name: str, terms: Collection[str]) -> str:
    if name in _RATES:
        return "speed" if kind == "step" else "epoch_speed"
    if kind != "step":
        return kind
    return "train" if name in ("loss", "accuracy") or name in terms else "schedule"
