"""Kill training runs at random moments, resume them, and compare them with uninterrupted ones.

    uv run python scripts/kill_runs.py --kills 100

Every recipe is trained on the digits once without interruption. Then the command line trains it in
a process that is killed at a random moment and resumed, again and again. Checkpoints are so
frequent that many kills happen while one is written. A resumed run must continue from the newest
checkpoint. At the end of a run, its weights, running averages, optimizer, delta, position and
metrics must equal those of the uninterrupted run, bit for bit. The exit code is 1 if anything is
lost or differs.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gratis.training import checkpoint_file

RECIPES = {
    "natural, SGD": ["augmented", "train.optimizer=sgd", "train.learning_rate=0.05"],
    "free, moving average and gamma": [
        "free",
        "adversary.free.delta_momentum=0.5",
        "adversary.free.gamma=0.7",
    ],
    "scheduled free": ["contrastive-scheduled"],
    "contrastive, averaged weights": ["contrastive-low", "train.ema_decay=0.99"],
    "autoencoder": ["contrastive-autoencoder"],
    "PGD": ["pgd"],
    "N-FGSM": ["n-fgsm"],
}
EPOCHS = 6
# A checkpoint every 0.1 s, so that many kills happen while one is written.
OFTEN = ("train.checkpoint_every_minutes=0.0017", "train.log_every_steps=1")
CLOCKS = {"images_per_second", "passes_per_second"}
TRAINING, WRITING = "killed between checkpoints", "while writing one"
RENAMING, AFTERWARDS = "between its renames", "while measuring (not counted)"
KILLED = (TRAINING, WRITING, RENAMING)
LOST, FINISHED, DIFFERING = "checkpoints lost", "finished runs", "of these differ"
POSITION = ("passes", "batches", "replay", "replays", "steps", "images", "finished", "first_loss")


def command(recipe: list[str], folder: Path) -> list[str]:
    """Return the command that trains a recipe in a folder, or resumes it there."""
    words = [f"train.epochs={EPOCHS}", "evaluate.images=10", "evaluate.pgd_steps=1", *OFTEN]
    return [sys.executable, "-m", "gratis.cli", "train", *recipe, *words, "--out", str(folder)]


def start(recipe: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    """Start or resume a run."""
    # On a busy machine, a second thread slows tiny networks down.
    quiet = subprocess.DEVNULL
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command(recipe, folder), env=environment, stdout=quiet, stderr=quiet)


def changed(folder: Path) -> int:
    """Return the time when the run last wrote to its folder, in nanoseconds; 0 if never."""
    times = []
    for name in ("metrics.jsonl", "checkpoint.safetensors"):
        if (folder / name).exists():
            times.append((folder / name).stat().st_mtime_ns)
    return max(times, default=0)


@dataclass(frozen=True)
class Reached:
    """The progress of a run: its steps, and its log up to there.

    The log contains times, so that steps taken twice differ in it.
    """

    steps: int = 0
    log: bytes = b""
    finished: bool = False

    @classmethod
    def by(cls, folder: Path) -> "Reached":
        """Return the progress of the run in ``folder`` at its newest checkpoint."""
        path = folder / "checkpoint.safetensors"
        if not checkpoint_file.exists(path):
            return cls()
        _, metadata = checkpoint_file.read(path)
        position = json.loads(metadata["position"])
        log = (folder / "metrics.jsonl").read_bytes()[: position["metrics_bytes"]]
        return cls(position["steps"], log, position["finished"])

    def lost(self, later: "Reached") -> bool:
        """Return whether ``later`` does not continue from here."""
        return later.steps < self.steps or not later.log.startswith(self.log)


def kill_once(recipe: list[str], folder: Path, wait: float | None) -> str:
    """Kill a run ``wait`` seconds after it starts to train, or never; return what it was doing."""
    before = changed(folder)
    process = start(recipe, folder)
    while process.poll() is None and changed(folder) == before:
        time.sleep(0.005)
    with suppress(subprocess.TimeoutExpired):
        if process.wait(wait):
            raise SystemExit(f"{folder}: cannot be resumed")
        return FINISHED
    process.kill()
    process.wait()
    newest = folder / "checkpoint.safetensors"
    if not newest.exists() and checkpoint_file.previous(newest).exists():
        return RENAMING
    if list(folder.glob(".checkpoint*.partial")):
        return WRITING
    return AFTERWARDS if Reached.by(folder).finished else TRAINING


def outcome(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], list[dict[str, Any]]]:
    """Return the final tensors, position and metrics of a run, without times."""
    tensors, metadata = checkpoint_file.read(folder / "checkpoint.safetensors")
    position = json.loads(metadata["position"])
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    log = [{k: v for k, v in line.items() if k not in CLOCKS} for line in lines]
    return tensors, {name: position[name] for name in POSITION}, log


def differing(folder: Path, reference: Path) -> list[str]:
    """Return the names of what differs between two runs."""
    tensors, position, log = outcome(folder)
    expected, expected_position, expected_log = outcome(reference)
    names = [
        name
        for name in sorted(tensors.keys() | expected.keys())
        if name not in tensors
        or name not in expected
        or not torch.equal(tensors[name], expected[name])
    ]
    names += ["position"] if position != expected_position else []
    return names + (["metrics.jsonl"] if log != expected_log else [])


def kill_recipe(name: str, kills: int, folder: Path, draw: random.Random) -> Counter[str]:
    """Kill and resume runs of one recipe; return the count of each outcome."""
    recipe, reference = RECIPES[name], folder / "uninterrupted"
    started = time.monotonic()
    if start(recipe, reference).wait():
        raise SystemExit(f"{name}: the uninterrupted run failed; run it by hand")
    # Most of that time was the start of the process; a shorter wait kills each run several times.
    longest = (time.monotonic() - started) / 8
    counts: Counter[str] = Counter()
    reached = Reached()
    while True:
        target = folder / f"run{counts[FINISHED]}"
        left = kills - sum(counts[kind] for kind in KILLED)
        what = kill_once(recipe, target, draw.uniform(0, longest) if left > 0 else None)
        counts[what] += 1
        now = Reached.by(target)
        if reached.lost(now):
            counts[LOST] += 1
            print(f"{target.name} of {name}: step {reached.steps} was lost", flush=True)
        reached = now
        if what != FINISHED:
            continue
        reached = Reached()
        if names := differing(target, reference):
            counts[DIFFERING] += 1
            print(f"{target.name} of {name} differs: {', '.join(names[:5])}", flush=True)
        if left <= 0:
            return counts


def main() -> None:
    """Kill runs of every recipe and print a table of the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="total number of kills")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments")
    arguments = parser.parse_args()
    wrong = 0
    columns = (*KILLED, AFTERWARDS, LOST, FINISHED, DIFFERING)
    print(f"| recipe | {' | '.join(columns)} |\n|{' --- |' * (1 + len(columns))}")
    for index, name in enumerate(RECIPES):
        share = arguments.kills * (index + 1) // len(RECIPES)
        share -= arguments.kills * index // len(RECIPES)
        with tempfile.TemporaryDirectory() as folder:
            draw = random.Random(f"{arguments.seed} {name}")
            counts = kill_recipe(name, share, Path(folder), draw)
        wrong += counts[DIFFERING] + counts[LOST]
        figures = " | ".join(str(counts[column]) for column in columns)
        print(f"| {name} | {figures} |", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
