"""The runs of a report: finding their folders, reading their files, telling them apart."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError

from gratis.errors import file_error, quoted
from gratis.json_files import read_json
from gratis.report.log_lines import LogLine, read_log
from gratis.report.rows import WORST
from gratis.results import METRICS, Frontier, Measurement, Results, SampleImages, frontier
from gratis.results.sample_images import FILE

_SECONDS = TypeAdapter(dict[str, float], config=ConfigDict(strict=True, allow_inf_nan=False))
_RECIPE, _RESULTS = "recipe.yaml", "results.json"


@dataclass(frozen=True)
class Run:
    """An evaluated run or external model, read from its folder.

    ``measurement`` has the images that are classified correctly, by metric, and ``seconds`` the
    duration of each task, by name, where known.
    """

    path: Path
    results: Results
    measurement: Measurement
    log: Sequence[LogLine]
    seconds: Mapping[str, float] = field(default_factory=dict)
    sample_images: SampleImages | None = None
    frontier: Frontier | None = None


class Found(NamedTuple):
    """The evaluated runs in the table's order, and the folders of runs without results."""

    runs: list[Run]
    unmeasured: list[Path]


def setting(results: Results, *path: str) -> Any:
    """Return the value at ``path`` in a run's recipe, or ``None`` if there is none."""
    value: Any = results.resolved
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def read_runs(folders: Sequence[Path]) -> Found:
    """Read evaluated runs and external models.

    ``folders`` are those of runs (with ``recipe.yaml``), of evaluations (with ``results.json``), or
    of several of them. Runs of one recipe that differ in more than the seed get their folder in
    their title.
    """
    runs: dict[Path, Run] = {}
    unmeasured: list[Path] = []
    for folder in folders:
        for path in _run_folders(folder):
            if path == folder or (path / _RESULTS).exists():
                runs.setdefault(path.resolve(), _read_run(path))
            else:
                unmeasured.append(path)
    if not runs:
        remedy = "run the same 'gratis reproduce' again"
        raise file_error(folders[0], "holds no measured run", remedy)
    return Found(_told_apart(list(runs.values())), unmeasured)


def _run_folders(folder: Path) -> list[Path]:
    for inside, name in (("", _RECIPE), ("runs/*/", _RECIPE), ("", _RESULTS), ("*/", _RESULTS)):
        if found := [path.parent for path in folder.glob(f"{inside}{name}") if path.is_file()]:
            return sorted(found, key=_order)
    problem = "is not the folder of a run (no recipe.yaml) or an evaluation (no results.json)"
    remedy = "name what 'gratis train', 'gratis evaluate' or 'gratis reproduce' wrote"
    raise file_error(folder, f"{problem}, nor of several", remedy)


def _order(path: Path) -> tuple[int, str]:
    """Return the sort key of a run: the place of its recipe in the table, then its name."""
    results = path / _RESULTS
    order = setting(Results.read(results), "order") if results.exists() else 0
    return (order if isinstance(order, int) else 0), path.name


def _read_run(path: Path) -> Run:
    results_file, correct_file = path / _RESULTS, path / "correct.safetensors"
    if not results_file.exists():
        remedy = f"finish and measure it: gratis resume {quoted(path)}"
        raise file_error(path, "has no results yet", remedy)
    results, measurement = Results.read(results_file), Measurement.load(correct_file)
    if not all(_same(getattr(results, m), measurement.accuracy(m)) for m in (*METRICS, WORST)):
        remedy = f"measure the run again: gratis evaluate {quoted(path)}"
        if results.external:
            remedy = "delete it and measure the model again with 'gratis evaluate'"
        raise file_error(correct_file, "does not belong to the results beside it", remedy)
    return Run(
        path,
        results,
        measurement,
        read_log(path / "metrics.jsonl"),
        _read_seconds(path / "evaluation" / "seconds.json"),
        _read_sample_images(path / "evaluation" / FILE, measurement),
        Frontier.read(path / frontier.FILE) if (path / frontier.FILE).exists() else None,
    )


def _same(a: float | None, b: float | None) -> bool:
    return a is b is None or (a is not None and b is not None and math.isclose(a, b))


def _read_sample_images(path: Path, measurement: Measurement) -> SampleImages | None:
    if not path.exists():
        return None
    found = SampleImages.load(path)
    shown, measured = [image.index for image in found.images], measurement.index
    if not set(shown) <= set(measured.tolist()) or measured.max() >= len(found.labels):
        raise file_error(path, "shows images that were not measured", "evaluate again")
    return found


def _read_seconds(path: Path) -> Mapping[str, float]:
    if not path.exists():
        return {}
    remedy = "delete it: without it the report shows no durations"
    try:
        return _SECONDS.validate_python(read_json(path, remedy))
    except ValidationError as error:
        raise file_error(path, "holds no seconds of tasks", remedy) from error


def _told_apart(runs: Sequence[Run]) -> list[Run]:
    """Return the runs so that those with one recipe name differ only in their seed."""
    times: Counter[tuple[str, str, int]] = Counter()
    variants: dict[tuple[str, str, int], Path] = {}
    keys = []
    for run in runs:
        results = run.results
        settings = json.dumps({**results.resolved, "seed": None}, sort_keys=True)
        # A second run with the same seed is no other seed: it is a variant of its own.
        times[results.recipe, settings, results.seed] += 1
        keys.append((results.recipe, settings, times[results.recipe, settings, results.seed]))
        variants.setdefault(keys[-1], run.path)
    recipes = Counter(recipe for recipe, *_ in variants)
    return [
        run if recipes[key[0]] == 1 else _named(run, variants[key])
        for run, key in zip(runs, keys, strict=True)
    ]


def _named(run: Run, path: Path) -> Run:
    results = run.results
    names = {"recipe": f"{results.recipe} {path}", "title": f"{results.title} ({path})"}
    return replace(run, results=results.model_copy(update=names))
