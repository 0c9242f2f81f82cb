"""The page that shows the public API runs as written on own images. mypy checks its types."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import gratis

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "public_api.py"


@pytest.fixture
def pets(tmp_path):
    """A folder of two classes that differ in colour."""
    source = np.random.default_rng(0)
    for part, count in (("train", 16), ("val", 8)):
        for name, channel in (("cat", 0), ("dog", 2)):
            folder = tmp_path / "pets" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = source.integers(0, 120, (16, 16, 3), dtype=np.uint8)
                pixels[..., channel] += 100
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "pets"


def test_the_public_api_runs_on_a_folder_of_photographs(pets, tmp_path):
    weights = tmp_path / "pets.pt"
    torch.save(torchvision.models.resnet18(num_classes=2).state_dict(), weights)
    model = ["--weights", weights, "--input-size", "32"]
    done = subprocess.run(
        [sys.executable, EXAMPLE, "--data", f"folder:{pets}", "--budget", "2s", *model],
        cwd=tmp_path,
        env=os.environ
        # Without a GPU: its profile has pretrained weights.
        | {
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "clean " in done.stdout and "the first image: " in done.stdout
    assert "loss after an epoch of free training" in done.stdout
    assert gratis.load(tmp_path / "pets.onnx").classes == ("cat", "dog")
    assert "hardened: clean " in done.stdout
    names = {run.name for run in (tmp_path / "runs").iterdir()}
    assert names == {"contrastive-scheduled-pets-seed0", "harden-resnet18-pets-seed0"}
    for run in (tmp_path / "runs").iterdir():
        assert (run / "results.json").is_file() and (run / "data.json").is_file()
