"""Several processes train one run: the same batches, draws and losses as one process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import distributed
from torch.testing._internal.distributed.fake_pg import FakeStore

from gratis import ranks
from gratis.errors import GratisError
from gratis.recipe import resolve
from gratis.run import launch, train
from gratis.training import checkpoint_file

SCRIPT = Path(__file__).with_name("losses_of_ranks.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
ALONE = {"OMP_NUM_THREADS": "1"}
TRAIN = [
    *("train", "contrastive-scheduled", "--data", "digits", "--out", "run", "--devices", "2"),
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3"),
    *("evaluate.suite=paper", "evaluate.images=20", "evaluate.pgd_steps=2"),
    *("train.log_every_steps=1",),
]


def test_two_ranks_have_the_losses_of_one(run_script, tmp_path):
    assert run_script(SCRIPT, tmp_path / "one")[0] == 0
    command = [*TORCHRUN, "--master-port", "29417", str(SCRIPT), str(tmp_path / "two")]
    subprocess.run(command, check=True, env=os.environ | ALONE)
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, losses in one.items():
        assert len(set(losses)) > 3
        assert two[name] == pytest.approx(losses, rel=1e-5), name


def gratis(*arguments, cwd, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "gratis.cli", *arguments],
        cwd=cwd,
        env=os.environ | ALONE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def steps_of(folder):
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in map(json.loads, lines) if line["kind"] == "step"]


def test_a_stopped_run_on_two_devices_continues_on_one(within, tmp_path, monkeypatch):
    run = tmp_path / "run"
    process = gratis(*TRAIN, "train.epochs=12", cwd=tmp_path)
    while process.poll() is None and len(steps_of(run)) < 8:
        time.sleep(0.01)
    # To one of the processes only: the other one stops at the same step.
    process.send_signal(signal.SIGTERM)
    messages = process.communicate()[1]
    assert process.returncode == 130, messages
    assert messages.count("continue with: gratis resume run") == 1
    stopped = steps_of(run)
    monkeypatch.chdir(tmp_path)
    code, streams = within("resume", "run")
    assert code == 0 and "trained on 2 devices and continues on 1" in streams.err
    assert steps_of(run)[: len(stopped)] == stopped and len(steps_of(run)) > len(stopped)
    results = json.loads((run / "results.json").read_text())
    assert results["passes"] == pytest.approx(12 * results["train_images"], rel=0.1)
    assert same_outcomes_on_two_devices(within, tmp_path)


def same_outcomes_on_two_devices(within, tmp_path):
    """Evaluate on one device and on two, and compare the outcomes on every image."""
    asked = ["evaluate", "run", "evaluate.suite=standard", "evaluate.images=27", "--json"]
    asked += ["evaluate.batch_size=4", "evaluate.epsilon=24/255"]
    code, streams = within(*asked, "--devices", "1", "--out", "1")
    assert code == 0
    process = gratis(*asked, "--devices", "2", "--out", "2", cwd=tmp_path, stdout=subprocess.PIPE)
    found = {"1": json.loads(streams.out), "2": json.loads(process.communicate()[0])}
    assert process.returncode == 0
    one, two = (load_file(tmp_path / devices / "correct.safetensors") for devices in "12")
    assert one.keys() == two.keys() >= {"square", "robust"}
    assert 0 < one["robust"].sum() < one["clean"].sum()
    assert found["1"].items() >= {name: found["2"][name] for name in ("checks", "tasks")}.items()
    return all(np.array_equal(two[name], correct) for name, correct in one.items())


def test_a_process_that_dies_ends_the_others(tmp_path):
    process = gratis(*TRAIN, "train.epochs=1000", cwd=tmp_path)
    while process.poll() is None and len(steps_of(tmp_path / "run")) < 8:
        time.sleep(0.01)
    (other,) = children_of(process.pid)
    os.kill(other, signal.SIGKILL)
    messages = process.communicate(timeout=60)[1]
    assert "another process of this run has ended" in messages
    assert process.returncode == 2 and "Traceback" not in messages
    checkpoint_file.read(tmp_path / "run" / "checkpoint.safetensors")


def children_of(pid):
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def test_an_error_of_the_first_process_is_the_only_message(tmp_path):
    process = gratis(*TRAIN, "--sets", "none", cwd=tmp_path)
    messages = process.communicate(timeout=120)[1]
    assert process.returncode == 2
    assert messages.count("error: ") == 1 and "Traceback" not in messages
    assert not (tmp_path / "run").exists()


def test_a_process_group_of_the_caller_is_none_of_ours():
    distributed.init_process_group("fake", rank=1, world_size=4, store=FakeStore())
    try:
        assert (ranks.rank(), ranks.world_size()) == (0, 1)
        assert ranks.gather(torch.arange(3)).tolist() == [0, 1, 2]
        with ranks.joined():
            assert (ranks.rank(), ranks.world_size()) == (1, 4)
    finally:
        distributed.destroy_process_group()


def test_hardening_on_several_devices_is_refused(monkeypatch, tmp_path):
    """The others would wait for its first exchange for ever."""
    recipe = resolve("harden/free", "digits", [])
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    with pytest.raises(GratisError, match="hardening uses one device"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"TORCHELASTIC_RUN_ID": "a", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}, (4, 2)),
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2"}, (4, 2)),
        # A batch script without srun: the tasks are only reserved.
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2"}, None),
    ],
)
def test_processes_that_a_launcher_started_are_counted(environment, expected, monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launch._started() == expected


@pytest.mark.parametrize("largest", [7, 8])
def test_a_row_of_every_batch_belongs_to_one_rank(largest, monkeypatch):
    monkeypatch.setattr(ranks, "world_size", lambda: 3)
    owner = {}
    for n in range(largest - 1, largest + 1):
        found = []
        for rank in range(3):
            monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
            own = range(n)[ranks.rows(largest, n)]
            found += own
            assert all(owner.setdefault(row, rank) == rank for row in own)
        assert found == list(range(n))
