"""The page that shows the public API runs as written, under strict types, on own images."""

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
        [sys.executable, EXAMPLE, "--data", f"folder:{pets}", "--budget", "5s", *model],
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


@pytest.mark.slow
def test_numbers_are_accepted_where_schedules_are_by_the_type_checker(tmp_path):
    (tmp_path / "loop.py").write_text(
        "import gratis\n"
        "a = gratis.FreeAT(replays=4, epsilon=0.03, gamma=gratis.steps({0: 1, 0.5: 0.5}))\n"
        "b = gratis.PGDAT(epsilon=gratis.cosine(0, 0.1), steps=2)\n"
        "c = gratis.NFGSM(epsilon=1)\n"
        "d = gratis.warm_up(0.1, 3.0)\n"
        "gratis.train('free', budget='2m', overrides=['train.epochs=1'])\n"
        "reveal_type(gratis.evaluate('run', epsilon='8/255').clean)\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache"]
    done = subprocess.run(
        [*command, "loop.py"],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("loop.py")]
    assert len(lines) == 1 and 'Revealed type is "float"' in lines[0].replace("builtins.", "")
