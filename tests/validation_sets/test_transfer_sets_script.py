import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gratis.data.dataset import Split
from gratis.validation_sets import build, load

SCRIPT = Path(__file__).parents[2] / "scripts" / "transfer_sets.py"


@pytest.fixture
def run(run_script):
    return lambda *arguments: run_script(SCRIPT, *arguments)


@pytest.fixture
def built(tmp_path):
    """A folder of sets, the folder of decoded images, and the split."""
    source = np.random.default_rng(0)
    # Extreme values, which an attack of epsilon 8/255 cannot lower or raise.
    images = source.choice([0, 3, 128, 254, 255], (13, 8, 8, 3)).astype(np.uint8)
    split = Split(images, source.integers(0, 3, 13))
    torch.manual_seed(0)
    baseline = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.Tanh(), nn.Linear(16, 3))
    build(tmp_path / "sets", split, True, baseline, 8 / 255, seed=3)
    data = tmp_path / "data"
    data.mkdir()
    np.save(data / "validation-images.npy", split.images)
    np.save(data / "validation-labels.npy", split.labels)
    return tmp_path / "sets", data, split


def test_the_sets_come_back_byte_for_byte(run, tmp_path, built):
    sets, data, split = built
    code, streams = run("pack", sets, data, tmp_path / "signs.npy")
    assert code == 0, streams.err
    assert np.load(tmp_path / "signs.npy").nbytes == split.images.size // 8
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(sets / "manifest.json", copy)
    code, streams = run("unpack", copy, data, tmp_path / "signs.npy")
    assert code == 0, streams.err
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == {
        p.name: p.read_bytes() for p in sets.iterdir()
    }
    np.testing.assert_array_equal(load(copy, split).transfer, load(sets, split).transfer)


def test_other_signs_are_refused(run, tmp_path, built):
    sets, data, _ = built
    run("pack", sets, data, tmp_path / "signs.npy")
    signs = np.load(tmp_path / "signs.npy")
    signs[5] ^= 255
    np.save(tmp_path / "signs.npy", signs)
    code, streams = run("unpack", sets, data, tmp_path / "signs.npy")
    assert code == 1
    assert "transfer.npy: differs from the set in the manifest" in streams.err


def test_a_wrong_call_shows_the_usage(run):
    code, streams = run("pack")
    assert code == 1 and "usage:" in streams.err
