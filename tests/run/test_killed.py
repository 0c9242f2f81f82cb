"""Training is killed with SIGKILL and resumed; scripts/kill_runs.py does this at length."""

import json
import signal
import subprocess
import sys
import time

import torch

from gratis.recipe import resolve
from gratis.run.training import train_only
from gratis.training import checkpoint_file

ROW = ["contrastive-scheduled", "digits"]
CHANGES = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3"),
    *("train.epochs=3", "train.log_every_steps=1", "train.checkpoint_every_minutes=0.0001"),
]
VICTIM = f"""
import torch
from pathlib import Path
from gratis.recipe import resolve
from gratis.run.training import train_only
train_only(resolve(*{ROW!r}, {CHANGES!r}), Path("run"))
"""


def lines_of(folder):
    path = folder / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def end_of(folder):
    tensors, metadata = checkpoint_file.read(folder / "checkpoint.safetensors")
    position = json.loads(metadata["position"])
    for clock in ("seconds", "saving", "elapsed", "metrics_bytes"):
        del position[clock]
    clocks = {"images_per_second", "passes_per_second"}
    lines = [json.loads(line) for line in lines_of(folder)]
    return tensors, position, [{k: v for k, v in each.items() if k not in clocks} for each in lines]


def test_a_killed_run_ends_like_one_that_is_not(tmp_path):
    victim = subprocess.Popen([sys.executable, "-c", VICTIM], cwd=tmp_path)
    while victim.poll() is None and len(lines_of(tmp_path / "run")) < 6:
        time.sleep(0.005)
    victim.kill()
    assert victim.wait() == -signal.SIGKILL
    _, metadata = checkpoint_file.read(tmp_path / "run" / "checkpoint.safetensors")
    saved = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    saved = saved[: json.loads(metadata["position"])["metrics_bytes"]]
    recipe = resolve(*ROW, CHANGES)
    train_only(recipe, tmp_path / "run")
    # Including its times: otherwise a run that starts again would pass too.
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes().startswith(saved) and saved
    train_only(recipe, tmp_path / "whole")
    (tensors, *rest), (expected, *others) = end_of(tmp_path / "run"), end_of(tmp_path / "whole")
    assert tensors.keys() == expected.keys()
    assert not [name for name in expected if not torch.equal(tensors[name], expected[name])]
    assert rest == others
    assert not list(tmp_path.rglob("*.partial"))
