"""Whatever is offered: one clear line, nothing executed, nothing lost or half-written."""

import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from cases import CASES
from offer import Place, gratis, offer, tree

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def outcome(finished, tmp_path_factory):
    """Offer a case, once, and return what came of it."""
    return cache(lambda case: offer(case, tmp_path_factory.mktemp("case") / "place", finished))


def check(case, code, stderr):
    lines = stderr.splitlines()
    assert code == 2, stderr
    assert "Traceback" not in stderr
    assert sum(line.startswith("error: ") for line in lines) == 1, stderr
    for part in case.says:
        assert part in stderr


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_clear_line_and_nothing_changed(case, outcome):
    seen = outcome(case)
    check(case, seen.code, seen.stderr)
    assert seen.after == seen.before
    around = seen.folder.parent
    left = {path.name for path in around.iterdir()}
    assert left <= {"place", "cache"}, "a trap was sprung, or something written elsewhere"
    assert not [path for path in around.rglob("*") if path.name.endswith(".partial")]


def test_a_true_process_says_the_same(finished, tmp_path):
    name = "Checkpoints: a torch.save file that runs a command"
    (case,) = [case for case in CASES if str(case) == name]
    (tmp_path / "place").mkdir()
    arguments = case.prepare(Place(tmp_path / "place", finished))
    before = tree(tmp_path / "place")
    done = subprocess.run(
        [sys.executable, "-m", "gratis.cli", *arguments],
        cwd=tmp_path / "place",
        env=os.environ | {"GRATIS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    check(case, done.returncode, done.stderr)
    assert tree(tmp_path / "place") == before
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("left", [None, b"", b"\xff not JSON\n"])
def test_a_lost_log_loses_no_run(left, finished, tmp_path):
    run = Place(tmp_path, finished).run()
    (run / "metrics.jsonl").unlink()
    if left is not None:
        (run / "metrics.jsonl").write_bytes(left)
    code, stderr = gratis(["evaluate", "run"], tmp_path)
    assert code == 0, stderr


def test_names_tell_the_cases_apart():
    assert len({str(case) for case in CASES}) == len(CASES)


def test_the_docs_show_what_the_user_sees(outcome):
    path = ROOT / "scripts" / "update_bad_input.py"
    spec = importlib.util.spec_from_file_location("update_bad_input", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shown = (ROOT / "docs" / "bad-input.md").read_text(encoding="utf-8")
    assert module.page(outcome) == shown
