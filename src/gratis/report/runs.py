"""The runs that a page is about: found in folders, read, and told apart."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gratis.errors import GratisError, file_error
from gratis.files import read_json
from gratis.report.rows import WORST
from gratis.results import METRICS, Measurement, Results, SampleImages
from gratis.results.sample_images import FILE

_SECONDS = TypeAdapter(dict[str, float], config=ConfigDict(strict=True, allow_inf_nan=False))
_RECIPE, _RESULTS = "recipe.yaml", "results.json"


class LogLine(BaseModel):
    """What a page needs of one line of ``metrics.jsonl``; the rest of the line is left alone.

    ``kind`` is step, epoch or rollback, ``epoch`` is passes done / training images, ``accuracy``
    and ``held_out`` are shares in [0, 1], ``epsilon`` is in [0, 1] units of pixel value.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    epoch: float
    kind: str = ""
    loss: float | None = None
    accuracy: float | None = None
    epsilon: float | None = None
    replays: float | None = None
    held_out: dict[str, float] | None = None


@dataclass(frozen=True)
class Run:
    """An evaluated run or external model, read from its folder.

    Attributes:
        path: the folder.
        results: the results.
        measurement: which images are classified correctly, by metric.
        log: the JSON-lines log of training.
        seconds: the duration of each task, by name, where known.
        sample_images: the sample images; ``None`` if none are stored.
    """

    path: Path
    results: Results
    measurement: Measurement
    log: Sequence[LogLine]
    seconds: Mapping[str, float] = field(default_factory=dict)
    sample_images: SampleImages | None = None


class Found(NamedTuple):
    """The measured runs in the table's order, and the folders of those not measured yet."""

    runs: list[Run]
    unmeasured: list[Path]


def setting(results: Results, *path: str) -> Any:
    """Return what a run's recipe says at ``path``, or ``None`` where it says nothing."""
    value: Any = results.resolved
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def read_runs(folders: Sequence[Path]) -> Found:
    """Read folders of runs, of measured models, or of several, such as ``gratis reproduce`` wrote.

    A folder with ``results.json`` and no recipe is that of a model made elsewhere. Runs of one
    recipe that differ in more than the seed get titles of their own.

    Raises:
        GratisError: a folder is neither, a named run has no results or is damaged, or there is
            no measured run at all.
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
    if (folder / _RECIPE).is_file():
        return [folder]
    if inside := [path.parent for path in folder.glob(f"runs/*/{_RECIPE}")]:
        return sorted(inside, key=_place)
    if (folder / _RESULTS).is_file():
        return [folder]
    if inside := [path.parent for path in folder.glob(f"*/{_RESULTS}")]:
        return sorted(inside, key=_place)
    problem = "is not the folder of a run (no recipe.yaml) or a measured model (no results.json)"
    remedy = "name what 'gratis train', 'gratis evaluate' or 'gratis reproduce' wrote"
    raise file_error(folder, f"{problem}, nor of several", remedy)


def _place(path: Path) -> tuple[int, str]:
    """Return the place of a run in the table: that of its row, then by name."""
    results = path / _RESULTS
    row = setting(Results.read(results), "row") if results.exists() else 0
    return (row if isinstance(row, int) else 0), path.name


def _read_run(path: Path) -> Run:
    results_file, correct_file = path / _RESULTS, path / "correct.safetensors"
    if not results_file.exists():
        remedy = f"finish and measure it: gratis resume {path}"
        raise file_error(path, "has no results yet", remedy)
    results, measurement = Results.read(results_file), Measurement.load(correct_file)
    if not all(_same(getattr(results, m), measurement.accuracy(m)) for m in (*METRICS, WORST)):
        remedy = f"measure the run again: gratis evaluate {path}"
        if results.external:
            remedy = "delete it and measure the model again with 'gratis evaluate'"
        raise file_error(correct_file, "does not belong to the results beside it", remedy)
    log, seconds = _read_log(path / "metrics.jsonl"), _read_seconds(path / "evaluation")
    sample_images = _read_sample_images(path / "evaluation" / FILE, measurement)
    return Run(path, results, measurement, log, seconds, sample_images)


def _read_sample_images(path: Path, measurement: Measurement) -> SampleImages | None:
    if not path.exists():
        return None
    found = SampleImages.load(path)
    measured = set(measurement.index.tolist())
    if not measured.issuperset(image.index for image in found.images) or not all(
        0 <= index < len(found.labels) for index in measured
    ):
        raise file_error(path, "shows images that were not measured", "evaluate again")
    return found


def _same(a: float | None, b: float | None) -> bool:
    return a is b is None or (a is not None and b is not None and math.isclose(a, b))


def _read_seconds(folder: Path) -> Mapping[str, float]:
    path = folder / "seconds.json"
    if not path.exists():
        return {}
    remedy = "delete it: the page goes without these times"
    try:
        return _SECONDS.validate_python(read_json(path, remedy))
    except ValidationError as error:
        raise file_error(path, "holds no seconds of tasks", remedy) from error


def _read_log(path: Path) -> list[LogLine]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise _damaged(path, f"cannot be read ({error})") from error
    return [_read_line(path, number, line) for number, line in enumerate(lines, 1)]


def _read_line(path: Path, number: int, line: str) -> LogLine:
    try:
        return LogLine.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise _damaged(path, f"line {number} is no line of a log ({problem})") from error


def _damaged(path: Path, problem: str) -> GratisError:
    return file_error(path, problem, "restore it, or delete it: the page goes without its curves")


def _told_apart(runs: Sequence[Run]) -> list[Run]:
    """Return the runs so that those of one recipe's name differ in nothing but the seed."""
    kinds: dict[str, dict[tuple[str, int], Path]] = {}
    keys = []
    taken: dict[tuple[str, str, int], int] = {}
    for run in runs:
        settings = json.dumps({**run.results.resolved, "seed": None}, sort_keys=True)
        same = (run.results.recipe, settings, run.results.seed)
        taken[same] = taken.get(same, -1) + 1
        keys.append((settings, taken[same]))
        kinds.setdefault(run.results.recipe, {}).setdefault(keys[-1], run.path)
    return [
        run if len(kinds[run.results.recipe]) == 1 else _named(run, kinds[run.results.recipe][key])
        for run, key in zip(runs, keys, strict=True)
    ]


def _named(run: Run, path: Path) -> Run:
    results = run.results
    names = {"recipe": f"{results.recipe} {path}", "title": f"{results.title} ({path})"}
    return replace(run, results=results.model_copy(update=names))
