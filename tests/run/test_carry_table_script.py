"""A table goes on on another machine, from its measured runs alone."""

from pathlib import Path

import numpy as np
import pytest

import digits_models
from gratis.run import reproduce, rows_of
from gratis.validation_sets.manifest import array_paths

SCRIPT = Path(__file__).parents[2] / "scripts" / "carry_table.py"
TINY = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "train.epochs=1"),
    *("train.held_out_per_class=1", "evaluate.pgd_steps=1"),
]


@pytest.fixture
def carry(run_script):
    def run(*words):
        code, streams = run_script(SCRIPT, *words)
        assert code == 0, streams.err

    return run


def rows(*names):
    return rows_of("digits", names, TINY)


def test_measured_runs_are_not_repeated_on_another_machine(carry, tmp_path):
    data, here, carried, there = (tmp_path / name for name in ("data", "here", "carried", "there"))
    data.mkdir()
    split = digits_models.digits().validation
    np.save(data / "validation-images.npy", split.images)
    np.save(data / "validation-labels.npy", split.labels)
    before = reproduce(*rows("resnet18", "free"), here, 1)
    for name in ("table.md", "table.csv", "paired.md", "figure1.png"):
        (here / name).write_text(name)
    (here / "results.json").write_text('{"runs": [{"data": {"root": "/secret"}}]}')
    carry("pack", here, carried, data)
    files = [file for file in carried.rglob("*") if file.is_file()]
    assert not any(str(tmp_path).encode() in file.read_bytes() for file in files)
    assert "secret" not in (carried / "results.json").read_text()
    assert sum(file.stat().st_size for file in files) < 200_000
    carry("unpack", carried, there, data)
    for name, path in array_paths(there / "perturbed").items():
        assert np.array_equal(np.load(path), np.load(array_paths(here / "perturbed")[name]))
    after = reproduce(*rows("resnet18", "free", "augmented"), there, 1)
    assert [after[0], after[2]] == before
    assert not list((there / "runs" / "free-seed0").glob("checkpoint*"))
    assert (there / "runs" / "augmented-seed0" / "checkpoint.safetensors").exists()
