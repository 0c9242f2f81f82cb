"""The examples run as a reader runs them, and their network is robust because of the adversary."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gratis.adversary.natural import Natural

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *arguments):
    return subprocess.run(
        [sys.executable, name, *arguments],
        cwd=EXAMPLES,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("name", ["own_loop.py", "own_loop_fabric.py"])
def test_an_example_trains_a_robust_network(name):
    done = run(name, "--steps", "400")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    losses = [float(found) for found in re.findall(r"step +\d00  loss ([\d.]+)", done.stdout)]
    assert len(losses) == 4
    clean, pgd = (float(found) for found in re.findall(r"(?:clean|pgd) +([\d.]+)%", done.stdout))
    assert clean > 90
    assert 40 < pgd < clean


def test_the_same_loop_without_the_adversary_is_not_robust(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    example = importlib.import_module("own_loop")
    images, labels, validation_images, validation_labels = example.digits()
    model = example.network()
    example.train(model, Natural(), images, labels, 600)
    found = example.accuracies(model, validation_images, validation_labels)
    assert found["clean"] > 0.95 and found["pgd"] < 0.25
