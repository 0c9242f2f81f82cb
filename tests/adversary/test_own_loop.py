"""The examples are run as a reader would run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *arguments):
    return subprocess.run(
        [sys.executable, name, *arguments],
        cwd=EXAMPLES,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("name", ["own_loop.py", "own_loop_fabric.py"])
def test_an_adversary_works_in_a_loop_of_ones_own(name):
    done = run(name, "--steps", "100")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(r"step +100  loss \d", done.stdout)
    clean, pgd = (float(found) for found in re.findall(r"(?:clean|pgd) +([\d.]+)%", done.stdout))
    assert clean > 80
    assert 0 <= pgd <= clean


def test_the_adversary_is_five_lines():
    source = (EXAMPLES / "own_loop.py").read_text()
    assert sorted(re.findall(r"# (\d)", source)) == ["1", "2", "3", "4", "5"]
