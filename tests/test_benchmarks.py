"""All benchmarks run by one command and report every line. No test depends on measured times."""

import importlib.util
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))

from benchmarks import harness  # noqa: E402
from benchmarks.__main__ import main  # noqa: E402
from benchmarks.base import Comparison, Conditions, at_least, ratio  # noqa: E402
from benchmarks.suite import COMPARISONS, chosen  # noqa: E402
from benchmarks.worker import Worker, WorkerError, in_own_process  # noqa: E402

CLASSES, IMAGES = 50, 4
# The command, with tiny models and batches.
TINY = """
import runpy
# Once, instead of in every process that is forked from this one.
import kornia.augmentation
from benchmarks import augmentation, free_pass, memory, steps
from gratis.model import ModelSettings

for changes in steps.MODELS.values():
    changes += ["model.channels=[8,8,8,8]", "model.head.width=16"]
for model in free_pass.MODELS:
    free_pass.MODELS[model] = ModelSettings(channels=(8, 8, 8, 8)), 2, 32
augmentation.IMAGES = 2
memory.STEPS = 1
runpy.run_module("benchmarks", run_name="__main__")
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The official layout of Tiny ImageNet with as many classes as the benchmarks read."""
    root = tmp_path_factory.mktemp("tree") / "tiny-imagenet-200"
    random = np.random.default_rng(0)
    wnids = [f"n{number:02}" for number in range(CLASSES)]
    (root / "val" / "images").mkdir(parents=True)
    for wnid in wnids:
        images = root / "train" / wnid / "images"
        images.mkdir(parents=True)
        paths = [images / f"{wnid}_{number}.JPEG" for number in range(IMAGES)]
        for path in [*paths, root / "val" / "images" / f"{wnid}.JPEG"]:
            Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    lines = [f"{wnid}.JPEG\t{wnid}\t0\t0\t63\t63\n" for wnid in wnids]
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("\n".join(wnids))
    (root / "words.txt").write_text("")
    return root.parent


def run(cache, *arguments):
    return subprocess.run(
        [sys.executable, "-c", TINY, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "GRATIS_CACHE": str(cache), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )


def test_cost_page_shows_the_committed_figures():
    path = ROOT / "scripts" / "update_cost.py"
    spec = importlib.util.spec_from_file_location("update_cost", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    reports = {
        name: json.loads((module.FOLDER / name).read_text(encoding="utf-8"))
        for name in (module.CURVES, module.BESIDE)
    }
    page = module.PAGE.read_text(encoding="utf-8")
    assert module.updated(page, reports) == page
    shown = {
        name: {one["topic"] for one in report["comparisons"]} for name, report in reports.items()
    }
    assert shown[module.CURVES] == {"curves", "memory"}
    assert set.union(*shown.values()) == {comparison.topic for comparison in COMPARISONS}
    report = reports[module.CURVES]
    for comparison in chosen(["curves", "memory"]):
        points = {
            name.partition(":")[0]
            for name in module.comparison(report, comparison.topic, comparison.name)["figures"]
        }
        named = comparison.name == "images" or all(f"| {point} |" in page for point in points)
        assert named, comparison.title


@pytest.mark.slow
def test_all_benchmarks_run_and_report_every_line(tree, tmp_path):
    file = tmp_path / "benchmarks.json"
    result = run(
        tmp_path / "cache",
        *("--data-root", tree, "--rounds", 1, "--seconds", 0.01, "--threads", 1, "--json", file),
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(file.read_text())
    assert report["about"].keys() == {
        *("device", "threads", "versions", "commit", "rounds", "seconds")
    }
    assert report["about"]["threads"] == 1
    assert [(one["topic"], one["name"]) for one in report["comparisons"]] == [
        (comparison.topic, comparison.name) for comparison in COMPARISONS
    ]
    for record, comparison in zip(report["comparisons"], COMPARISONS, strict=True):
        assert all(len(values) == 1 for values in record["figures"].values())
        figures = {name: values[0] for name, values in record["figures"].items()}
        for reported, line in zip(record["lines"], comparison.lines, strict=True):
            assert reported["name"] == line.name
            # The values follow from the figures beside them.
            assert reported["values"] == [pytest.approx(line.value(figures), nan_ok=True)]
            assert reported["target"] == (str(line.target) if line.target else None)
            title = f"| {comparison.title} | {line.name} | "
            assert title in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "trianing"], "no benchmark 'trianing'"),
        (["--only", "reading"], "--data-root is needed"),
        (["--data-root", "/nowhere"], "--data-root /nowhere: no unpacked Tiny ImageNet"),
        (["--rounds", "0", "--only", "augmentation"], "at least 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_only_selects_topics_and_comparisons():
    assert {comparison.topic for comparison in chosen(["curves"])} == {"curves"}
    assert [comparison.title for comparison in chosen(["reading/64px"])] == ["reading/64px"]
    titles = [comparison.title for comparison in COMPARISONS]
    assert chosen([]) == COMPARISONS and len(set(titles)) == len(titles)


def test_sides_alternate_and_lines_are_medians_over_rounds():
    turns = []

    @contextmanager
    def opened(_):
        # Each turn returns one more than the turn before, and twice that for b.
        yield [lambda: count("a", 1), lambda: count("b", 2)]

    def count(name, times):
        turns.append(name)
        return {name: float(times * (1 + turns.count(name)))}

    comparison = Comparison(
        "s", "n", "u", opened, [ratio("b", "a", at_least(2))], lambda turn: turn
    )
    record = harness.record_of(comparison, Conditions(None, 1.0, 1), rounds=3)
    # The first round, with 2 and 4, warms up and does not count.
    assert record["figures"] == {"a": [3, 4, 5], "b": [6, 8, 10]}
    (line,) = record["lines"]
    assert (line["median"], line["target"], line["met"]) == (2, "at least 2", True)
    # It ran in a process of its own.
    assert turns == []
    harness.measured(comparison, Conditions(None, 1.0, 1), 1)
    assert turns == ["a", "b", "b", "a"]


def test_short_turns_fill_a_round_and_pick_selects_one(monkeypatch):
    values, clock = iter([9.0, 9.0, 9.0, 7.0, 3.0, 5.0]), itertools.count()

    @contextmanager
    def opened(_):
        yield [lambda: {"a": next(values)}]

    # Every reading of the clock is a second later.
    monkeypatch.setattr(harness, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    comparison = Comparison("s", "n", "u", opened, [], lambda turn: turn, pick=min)
    assert harness.measured(comparison, Conditions(None, 3, 1), 1) == [{"a": 3.0}]
    assert next(values, None) is None


def test_worker_and_its_children_are_stopped_between_turns():
    def prepare():
        child = multiprocessing.get_context("fork").Process(target=signal.pause, daemon=True)
        child.start()
        return lambda: time.sleep(0.05) or child.pid

    seen = set()
    with Worker(prepare) as worker:
        child = worker.turn(lambda: seen.add(state(worker.pid)))
        assert seen - {"T"}
        until_stopped(worker.pid, child)
        assert worker.turn() == child
        until_stopped(worker.pid, child)
    assert state(worker.pid) is None


def state(pid):
    """Return the state letter of a process, as Linux reports it, or ``None`` if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None


def until_stopped(*pids):
    deadline = time.monotonic() + 20
    while {state(pid) for pid in pids} != {"T"}:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_errors_in_a_worker_are_reported(capfd):
    def fail():
        raise ValueError("no such thing")

    with pytest.raises(WorkerError, match="ValueError: no such thing"):
        in_own_process(fail)
    with pytest.raises(WorkerError, match="ValueError"), Worker(fail):
        pass
    with pytest.raises(WorkerError, match="the process died"):
        in_own_process(lambda: os._exit(3))
    assert "no such thing" in capfd.readouterr().err
