"""A list of the runs and evaluations below a folder, without torch."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from safetensors import SafetensorError, safe_open

from gratis.errors import GratisError, file_error, printable
from gratis.json_files import read_json
from gratis.locks import is_locked
from gratis.report.table import Cell, Table, TableRow
from gratis.results import Results
from gratis.yaml_files import read_yaml

_RECIPE, _RESULTS, _CHECKPOINT = "recipe.yaml", "results.json", "checkpoint.safetensors"
# How many folders deep to look.
_DEPTH = 5


@dataclass(frozen=True)
class Listed:
    """A run or an evaluation.

    Attributes:
        path: its folder.
        recipe: the name of its recipe or, for an evaluation of an external model, of the model.
        data: the name of its data set.
        state: ``measured``, ``trained`` (and not measured), ``stopped`` with the epoch, ``begun``
            (without a checkpoint), ``running`` (a process works in its folder, without results) or
            ``damaged``.
        clean: the accuracy without an attack, in [0, 1], if it was measured.
        robust: the worst case over the attacks of its suite or, without one, the accuracy under
            PGD, in [0, 1], if it was measured.
        changed: when its last file was written, in UTC, as ISO 8601.
    """

    path: str
    recipe: str
    data: str
    state: str
    clean: float | None
    robust: float | None
    changed: str


def list_runs(folder: Path) -> list[Listed]:
    """Return the runs and evaluations in ``folder`` and below, by path.

    Links are not followed, and nothing is written.
    """
    if not folder.is_dir():
        raise file_error(folder, "is not a folder", "name one that holds runs")
    return [_listed(path) for path in sorted(_found(folder))]


def _found(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        path = Path(where)
        deep = len(path.relative_to(folder).parts) >= _DEPTH
        folders[:] = [] if deep else [name for name in folders if not name.startswith(".")]
        if {_RECIPE, _RESULTS} & set(files) and not _is_table(path):
            yield path


def _is_table(path: Path) -> bool:
    """Return whether ``results.json`` there is that of many runs, from ``gratis reproduce``."""
    if (path / _RECIPE).exists():
        return False
    try:
        content = read_json(path / _RESULTS)
    except GratisError:
        return False
    return not isinstance(content, dict) or "recipe" not in content


def _listed(path: Path) -> Listed:
    recipe = path.name
    try:
        recipe, data = _names(path)
        results = Results.read(path / _RESULTS) if (path / _RESULTS).exists() else None
    except GratisError:
        return Listed(str(path), recipe, "", "damaged", None, None, _changed(path))
    if results is None:
        return Listed(str(path), recipe, data, _state(path), None, None, _changed(path))
    robust = results.pgd if results.robust is None else results.robust
    measured = (results.recipe, results.data, "measured", results.clean, robust)
    return Listed(str(path), *measured, _changed(path))


def _names(path: Path) -> tuple[str, str]:
    """Return the names of the recipe and of the data."""
    if not (path / _RECIPE).exists():
        return path.name, ""
    content = read_yaml(path / _RECIPE)
    data = content.get("data")
    named = data.get("name", "") if isinstance(data, dict) else ""
    return str(content.get("name", path.name)), str(named)


def _state(path: Path) -> str:
    """Return the state of a run without results."""
    if is_locked(path):
        return "running"
    if not (path / _CHECKPOINT).is_file():
        return "begun"
    try:
        with safe_open(path / _CHECKPOINT, "numpy") as checkpoint:
            position = json.loads(checkpoint.metadata()["position"])
        if position["finished"]:
            return "trained"
        return f"stopped at epoch {position['passes'] / max(1, position['images']):.1f}"
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return "damaged"


def _changed(path: Path) -> str:
    files = [path / name for name in (_RECIPE, _RESULTS, _CHECKPOINT, "metrics.jsonl")]
    times = [file.stat().st_mtime for file in files if file.is_file()]
    return datetime.fromtimestamp(max(times, default=0), UTC).isoformat(timespec="seconds")


def listing_table(runs: list[Listed]) -> Table:
    """Return the list as a table; times are local."""
    rows = []
    for run in runs:
        when = datetime.fromisoformat(run.changed).astimezone().strftime("%Y-%m-%d %H:%M")
        name = Cell(printable(run.path), small=printable(run.recipe))
        cells = [name, Cell(printable(run.data)), Cell(run.state)]
        numbers = [_percent(run.clean), _percent(run.robust), Cell(when)]
        rows.append(TableRow([*cells, *numbers]))
    names = ("data", "state", "clean", "robust", "changed")
    columns = [Cell("folder", small="recipe"), *map(Cell, names)]
    return Table(columns, rows, 3, optional=("changed", "data"), complete="--json")


def _percent(share: float | None) -> Cell:
    return Cell("" if share is None else f"{100 * share:.1f}")
