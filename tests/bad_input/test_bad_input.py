"""Bad input gives one clear line; nothing is executed, lost or half-written."""

import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from cases import CASES
from harness import Workspace, gratis, run_case, tree

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def outcome(finished, tmp_path_factory):
    """Run a case, once, and return its outcome."""
    return cache(
        lambda case: run_case(case, tmp_path_factory.mktemp("case") / "workspace", finished)
    )


def check(case, code, stderr):
    lines = stderr.splitlines()
    assert code == 2, stderr
    assert "Traceback" not in stderr
    assert sum(line.startswith("error: ") for line in lines) == 1, stderr
    for text in case.expected:
        assert text in stderr


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_clear_line_and_nothing_changed(case, outcome):
    seen = outcome(case)
    check(case, seen.code, seen.stderr)
    assert seen.after == seen.before
    around = seen.folder.parent
    left = {path.name for path in around.iterdir()}
    assert left <= {"workspace", "cache"}, "a trap was executed, or a file written outside"
    assert not [path for path in around.rglob("*") if path.name.endswith(".partial")]


def test_a_process_of_its_own_prints_the_same(finished, tmp_path):
    name = "Checkpoints: a torch.save file that runs a command"
    (case,) = [case for case in CASES if str(case) == name]
    (tmp_path / "workspace").mkdir()
    arguments = case.prepare(Workspace(tmp_path / "workspace", finished))
    before = tree(tmp_path / "workspace")
    done = subprocess.run(
        [sys.executable, "-m", "gratis.cli", *arguments],
        cwd=tmp_path / "workspace",
        env=os.environ | {"GRATIS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    check(case, done.returncode, done.stderr)
    assert tree(tmp_path / "workspace") == before
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("left", [None, b"", b"\xff not JSON\n"])
def test_a_run_without_its_log_can_be_evaluated(left, finished, tmp_path):
    run = Workspace(tmp_path, finished).run()
    (run / "metrics.jsonl").unlink()
    if left is not None:
        (run / "metrics.jsonl").write_bytes(left)
    code, stderr = gratis(["evaluate", "run"], tmp_path)
    assert code == 0, stderr


def test_the_titles_are_unique():
    assert len({str(case) for case in CASES}) == len(CASES)


def test_the_docs_show_what_the_user_sees(outcome):
    path = ROOT / "scripts" / "update_bad_input.py"
    spec = importlib.util.spec_from_file_location("update_bad_input", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shown = (ROOT / "docs" / "bad-input.md").read_text(encoding="utf-8")
    assert module.page(outcome) == shown
