"""The examples run as a reader runs them, and their network is robust because of the adversary."""

import importlib
import re
from pathlib import Path

import pytest

from gratis.adversary.natural import Natural

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["own_loop.py", "own_loop_fabric.py"])
def test_an_example_trains_a_robust_network(name, run_script, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    # bfloat16 is slow on most CPUs.
    monkeypatch.setattr(importlib.import_module("own_loop"), "BATCH_SIZE", 32)
    code, streams = run_script(EXAMPLES / name, "--steps", "400")
    assert code == 0 and "Traceback" not in streams.err
    losses = [float(found) for found in re.findall(r"step +\d00  loss ([\d.]+)", streams.out)]
    assert len(losses) == 4
    clean, pgd = (float(found) for found in re.findall(r"(?:clean|pgd) +([\d.]+)%", streams.out))
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
