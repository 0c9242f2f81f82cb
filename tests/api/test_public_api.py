"""The page that shows the public API runs as written on own images. mypy checks its types."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import gratis
from gratis.run import frontier, sample_images

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "public_api.py"


@pytest.fixture
def pets(tmp_path):
    """A folder of two classes that differ in colour."""
    source = np.random.default_rng(0)
    for part, count in (("train", 16), ("val", 3)):
        for name, channel in (("cat", 0), ("dog", 2)):
            folder = tmp_path / "pets" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = source.integers(0, 120, (16, 16, 3), dtype=np.uint8)
                pixels[..., channel] += 100
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "pets"


def test_the_public_api_runs_on_a_folder_of_photographs(pets, tmp_path, monkeypatch, run_script):
    weights = tmp_path / "pets.pt"
    torch.save(torchvision.models.resnet18(num_classes=2).state_dict(), weights)
    model = ["--weights", weights, "--input-size", "32"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # The profile for a GPU has pretrained weights.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(frontier, "ALPHAS", (0.0, 0.5, 1.0))
    monkeypatch.setattr(sample_images, "IMAGES", 1)
    code, streams = run_script(EXAMPLE, "--data", f"folder:{pets}", "--budget", "2s", *model)
    assert code == 0, streams.err
    assert "clean " in streams.out and "the first image: " in streams.out
    assert "loss after an epoch of free training" in streams.out
    assert gratis.load(tmp_path / "pets.onnx").classes == ("cat", "dog")
    assert "hardened: clean " in streams.out
    names = {run.name for run in (tmp_path / "runs").iterdir()}
    assert names == {"contrastive-scheduled-pets-seed0", "harden-resnet18-pets-seed0"}
    for run in (tmp_path / "runs").iterdir():
        assert (run / "results.json").is_file() and (run / "data.json").is_file()
