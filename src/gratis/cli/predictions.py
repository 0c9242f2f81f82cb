"""Predictions as a table for the terminal, as CSV and as JSON."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import typer

from gratis.errors import printable

if TYPE_CHECKING:
    from rich.text import Text

    from gratis.run.prediction import Prediction

# Prints predictions; the title of the attack is None where there is none.
Print: TypeAlias = "Callable[[Iterable[Prediction], str | None], None]"


def print_table(predictions: "Iterable[Prediction]", attack: str | None) -> None:
    """Print a table that fits the terminal, or 80 columns in a pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = list(predictions)
    paths = [Path(str(found.path)) for found in shown]
    folder = _common_folder(paths)
    table = Table(box=box.HORIZONTALS, padding=(0, 1, 0, 0))
    table.add_column(
        _text("image" if folder is None else f"image in {folder}"), overflow="fold", ratio=3
    )
    table.add_column("class", overflow="fold", ratio=3)
    table.add_column("next", overflow="fold", ratio=3)
    if attack is not None:
        table.add_column(f"under {attack}", overflow="fold", ratio=2)
    for found, path in zip(shown, paths, strict=True):
        others = ", ".join(_named(name, share) for name, share in found.top[1:])
        cells = [str(path) if folder is None else path.name, _named(*found.top[0]), others]
        if found.attacked is not None:
            cells.append(_named(*found.attacked.top[0]))
        table.add_row(*map(_text, cells), style=_changed(found))
    if table.row_count:
        Console().print(table)


def print_csv(predictions: "Iterable[Prediction]", attack: str | None) -> None:
    """Print a header, and a line for each image; shares are in [0, 1]."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for row, found in enumerate(predictions):
        after = [] if found.attacked is None else [found.attacked.top[0]]
        pairs = [*found.top, *after]
        if not row:
            names = ["", *(f"_{place}" for place in range(2, len(found.top) + 1))]
            names += ["_attacked"] * len(after)
            header = [f"{kind}{name}" for name in names for kind in ("class", "confidence")]
            writer.writerow(["image", *header, *(["attack"] if after else [])])
        values = [cell for name, share in pairs for cell in (printable(name), f"{share:.6f}")]
        own = [str(attack)] if after else []
        writer.writerow([printable(str(found.path)), *values, *own])


def print_json(predictions: "Iterable[Prediction]", attack: str | None) -> None:
    """Print a list with an object for each image."""
    found = [
        {"image": str(each.path), **_fields(each)}
        | ({} if each.attacked is None else {"attack": attack, "attacked": _fields(each.attacked)})
        for each in predictions
    ]
    typer.echo(json.dumps(found, indent=2))


def _common_folder(paths: Sequence[Path]) -> Path | None:
    """Return the folder that holds all of several images."""
    folders = {path.parent for path in paths}
    return folders.pop() if len(folders) == 1 and len(paths) > 1 else None


def _fields(found: "Prediction") -> dict[str, Any]:
    top = [{"class": name, "confidence": share} for name, share in found.top]
    return {"class": found.name, "confidence": found.confidence, "top": top}


def _named(name: str, share: float) -> str:
    return f"{name} {share:.1%}"


def _text(cell: str) -> "Text":
    """Return a cell as text and not as markup, which rich would obey."""
    from rich.text import Text

    return Text(printable(cell))


def _changed(found: "Prediction") -> str | None:
    return "red" if found.attacked is not None and found.attacked.name != found.name else None
