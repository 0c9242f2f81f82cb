"""The benchmarks run by one command, and every line is there; nothing is asked of the times."""

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
from benchmarks.base import Conditions, Contest, at_least, ratio  # noqa: E402
from benchmarks.suite import CONTESTS, chosen  # noqa: E402
from benchmarks.worker import Failed, Worker, alone  # noqa: E402

CLASSES, IMAGES = 50, 4
# The command, with models and batches that take no time.
TINY = """
import runpy
from benchmarks import augmentation, free_pass, steps
from gratis.model import ModelSettings

for changes in steps.MODELS.values():
    changes += ["model.channels=[8,8,8,8]", "model.head.width=16"]
for model in free_pass.MODELS:
    free_pass.MODELS[model] = ModelSettings(channels=(8, 8, 8, 8)), 2, 32
augmentation.IMAGES = 2
runpy.run_module("benchmarks", run_name="__main__")
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The official layout of Tiny ImageNet: as many classes as any benchmark reads."""
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


def test_the_page_of_costs_shows_the_committed_figures():
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
    shown = {name: {one["evaluated"] for one in told["contests"]} for name, told in reports.items()}
    assert shown[module.CURVES] == {"curves", "memory"}
    assert set.union(*shown.values()) == {contest.evaluated for contest in CONTESTS}
    report = reports[module.CURVES]
    for contest in chosen(["curves", "memory"]):
        points = {
            name.partition(":")[0]
            for name in module.contest(report, contest.evaluated, contest.name)["figures"]
        }
        named = contest.name == "images" or all(f"| {point} |" in page for point in points)
        assert named, contest.title


@pytest.mark.slow
def test_the_whole_suite_runs_and_every_line_is_told(tree, tmp_path):
    file = tmp_path / "benchmarks.json"
    done = run(
        tmp_path / "cache",
        *("--data-root", tree, "--rounds", 1, "--seconds", 0.01, "--threads", 1, "--json", file),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["about"].keys() == {
        *("device", "threads", "versions", "commit", "rounds", "seconds")
    }
    assert report["about"]["threads"] == 1
    assert [(one["evaluated"], one["name"]) for one in report["contests"]] == [
        (contest.evaluated, contest.name) for contest in CONTESTS
    ]
    for record, contest in zip(report["contests"], CONTESTS, strict=True):
        assert all(len(values) == 1 for values in record["figures"].values())
        figures = {name: values[0] for name, values in record["figures"].items()}
        for told, line in zip(record["lines"], contest.lines, strict=True):
            assert told["name"] == line.name
            # What the table says follows from the figures beside it.
            assert told["values"] == [pytest.approx(line.value(figures), nan_ok=True)]
            assert told["wanted"] == (str(line.wanted) if line.wanted else None)
            title = f"| {contest.title} | {line.name} | "
            assert title in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "trianing"], "no benchmark 'trianing'"),
        (["--only", "reading"], "--data-root is needed"),
        (["--data-root", "/nowhere"], "--data-root /nowhere: no unpacked Tiny ImageNet"),
        (["--rounds", "0", "--only", "augmentation"], "at least 1"),
    ],
)
def test_a_wrong_command_is_refused(arguments, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_names_choose_subjects_or_single_contests():
    assert {contest.evaluated for contest in chosen(["curves"])} == {"curves"}
    assert [contest.title for contest in chosen(["reading/64px"])] == ["reading/64px"]
    titles = [contest.title for contest in CONTESTS]
    assert chosen([]) == CONTESTS and len(set(titles)) == len(titles)


def test_a_round_takes_turns_and_its_lines_are_medians():
    turns = []

    @contextmanager
    def opened(_):
        # Every turn of a takes one more than that before, and b twice as much.
        yield [lambda: count("a", 1), lambda: count("b", 2)]

    def count(name, times):
        turns.append(name)
        return {name: float(times * (1 + turns.count(name)))}

    contest = Contest("s", "n", "u", opened, [ratio("b", "a", at_least(2))], lambda turn: turn)
    record = harness.held(contest, Conditions(None, 1.0, 1), rounds=3)
    # The first round, with 2 and 4, only warms up.
    assert record["figures"] == {"a": [3, 4, 5], "b": [6, 8, 10]}
    (line,) = record["lines"]
    assert (line["median"], line["wanted"], line["reached"]) == (2, "at least 2", True)
    # It was held in a process of its own.
    assert turns == []
    harness.measured(contest, Conditions(None, 1.0, 1), 1)
    assert turns == ["a", "b", "b", "a"]


def test_short_turns_fill_a_round_and_one_of_them_is_picked(monkeypatch):
    values, clock = iter([9.0, 9.0, 9.0, 7.0, 3.0, 5.0]), itertools.count()

    @contextmanager
    def opened(_):
        yield [lambda: {"a": next(values)}]

    # Every look at the clock is a second later.
    monkeypatch.setattr(harness, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    contest = Contest("s", "n", "u", opened, [], lambda turn: turn, pick=min)
    assert harness.measured(contest, Conditions(None, 3, 1), 1) == [{"a": 3.0}]
    assert next(values, None) is None


def test_a_worker_and_its_processes_stand_still_between_its_turns():
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
    """Return the letter that Linux has for what a process does; none where there is no such."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None


def until_stopped(*pids):
    deadline = time.monotonic() + 20
    while {state(pid) for pid in pids} != {"T"}:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_goes_wrong_in_a_process_is_told(capfd):
    def fail():
        raise ValueError("no such thing")

    with pytest.raises(Failed, match="ValueError: no such thing"):
        alone(fail)
    with pytest.raises(Failed, match="ValueError"), Worker(fail):
        pass
    with pytest.raises(Failed, match="the process died"):
        alone(lambda: os._exit(3))
    assert "no such thing" in capfd.readouterr().err
