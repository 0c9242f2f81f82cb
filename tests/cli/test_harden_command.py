"""``gratis harden`` in a true process: on a folder of photographs, to the end and interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

SHORT = ["train.batch_size=8", "evaluate.pgd_steps=2", "evaluate.images=12"]


def command(*arguments):
    return [sys.executable, "-m", "gratis.cli", *map(str, arguments)]


def environment(folder):
    return os.environ | {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
        "CUDA_VISIBLE_DEVICES": "",
    }


def gratis(folder, *arguments):
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


@pytest.fixture
def pets(tmp_path):
    """Two classes of photographs, 24 px, that differ in colour."""
    source = np.random.default_rng(0)
    for part, count in (("train", 20), ("val", 6)):
        for name, channel in (("cat", 0), ("dog", 2)):
            folder = tmp_path / "pets" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = source.integers(0, 120, (24, 24, 3), dtype=np.uint8)
                pixels[..., channel] += 100
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "pets"


def test_a_state_dict_becomes_a_robust_run_that_other_commands_take(
    pets, tmp_path, works, monkeypatch
):
    torch.manual_seed(0)
    network = timm.create_model("resnet10t", num_classes=7)
    torch.save({"state_dict": network.state_dict()}, tmp_path / "net.pt")
    model = ["resnet10t", "--weights", "net.pt", "--data", "folder:pets", "--input-size", "32"]
    done = gratis(tmp_path, "harden", *model, "--budget", "2s", "--epsilon", "2/255", *SHORT)
    assert done.returncode == 0, done.stderr
    run = Path("runs/harden-resnet10t-pets-seed0")
    place, chosen, before, changed = done.stdout.splitlines()[-4:]
    assert before == f"the model before: {run / 'natural'}"
    assert chosen.startswith("chosen: ") and "the highest mean over all epsilons" in chosen
    assert str(run) in place
    assert changed.startswith("Hardened at epsilon 2/255 in ") and " before, " in changed
    frontier = json.loads((tmp_path / run / "frontier.json").read_text())
    assert frontier["points"][0]["alpha"] == 0 and frontier["epsilon"] == pytest.approx(2 / 255)
    # Other classes: the class layer is new, and was trained naturally first.
    assert (tmp_path / run / "natural" / "checkpoint.safetensors").is_file()
    (tmp_path / "net.pt").unlink()
    monkeypatch.chdir(tmp_path)
    works("report", run, run / "natural")
    page = (tmp_path / run / "report" / "report.md").read_text()
    assert changed in page and "images/frontier.png" in page
    told = works("predict", run, "pets/val/cat/0.png", "--json")
    assert "cat" in told or "dog" in told


def test_an_interrupted_command_says_how_to_continue(pets, tmp_path, refused, monkeypatch):
    torch.manual_seed(0)
    save_file(
        timm.create_model("resnet10t", num_classes=2).state_dict(), tmp_path / "net.safetensors"
    )
    model = ["resnet10t", "--weights", "net.safetensors", "--data", "folder:pets"]
    options = ["--input-size", "32", "train.epochs=500", "--out", "run", *SHORT]
    process = subprocess.Popen(
        command("harden", *model, *options),
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "run" / "metrics.jsonl"
    while process.poll() is None and not (log.exists() and log.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 130 and "continue with: gratis resume run" in errors
    monkeypatch.chdir(tmp_path)
    assert "gratis resume run" in refused("predict", "run", "pets/val/cat/0.png")


def test_the_help_teaches(within, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    code, streams = within("harden", "--help")
    assert code == 0
    for words in ("--keep-clean", "--epsilon", "4/255", "gratis resume RUN", "natural"):
        assert words in streams.out
