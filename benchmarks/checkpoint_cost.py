"""Measures the cost of checkpoints and the time to resume a stopped run.

    uv run python -m benchmarks.checkpoint_cost --data-root DIR

Trains the scheduled row of the small Tiny ImageNet profile by the command line, stops it, and
resumes it. The run itself reports the share of the training time that checkpoints took at the
default interval; the target is at most 1%. The time to resume runs from the start of the command,
imports included, to the first new line in its log; the target is at most 15 s.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gratis.training import checkpoint_file

RECIPE = ["contrastive-scheduled", "--profile", "tiny-imagenet-small"]
# More epochs than it reaches, and a log line at every step.
CHANGES = ["train.epochs=1000", "train.log_every_steps=1"]


def start(command: list[str]) -> "subprocess.Popen[bytes]":
    """Start a gratis command quietly."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-m", "gratis.cli", *command], env=os.environ, stdout=quiet, stderr=quiet
    )


def wait_for_line(log: Path, size: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the log is longer than ``size`` bytes."""
    while not log.exists() or log.stat().st_size <= size:
        if process.poll() is not None:
            raise SystemExit(f"the run ended with {process.returncode}")
        time.sleep(0.01)


def stop(process: "subprocess.Popen[bytes]") -> float:
    """Interrupt a run; return the seconds that it took to save and end."""
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait()
    return time.monotonic() - started


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--seconds", type=float, default=330, help="of training")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        log = run / "metrics.jsonl"
        train = ["train", *RECIPE, *CHANGES, "--data-root", arguments.data_root, "--out", str(run)]
        process = start(train)
        wait_for_line(log, 0, process)
        time.sleep(arguments.seconds)
        ending = stop(process)
        size = (run / "checkpoint.safetensors").stat().st_size
        written = log.stat().st_size
        started = time.monotonic()
        process = start(["resume", str(run)])
        wait_for_line(log, written, process)
        resumed = time.monotonic() - started
        stop(process)
        _, metadata = checkpoint_file.read(run / "checkpoint.safetensors")
        position = json.loads(metadata["position"])
    print("| checkpoint | share of training | stop, saved | resume to the next step |")
    print("| --- | --- | --- | --- |")
    share = position["saving"] / position["seconds"]
    print(f"| {size / 2**20:.1f} MiB | {share:.2%} | {ending:.2f} s | {resumed:.2f} s |")


if __name__ == "__main__":
    main()
