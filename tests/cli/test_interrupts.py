"""Real signals, closed terminals and dead pipes: neither training nor measuring is lost."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")

GRATIS = f"{sys.executable} -m gratis.cli"
NARROW = "model.channels=[8,8,8,8] model.head.width=16 data.classes=3"
MEASURED = "train.held_out_per_class=1 evaluate.images=20 evaluate.pgd_steps=1"
# Minutes long, so that every signal meets it.
LONG = (
    f"{GRATIS} train free --out run {NARROW} {MEASURED} train.epochs=3000 train.log_every_steps=5"
)
SHORT = f"{GRATIS} train free --out run {NARROW} {MEASURED} train.epochs=1"


@pytest.fixture
def start(tmp_path):
    """Start a shell command in an empty folder, in a session of its own."""
    started = []

    def run(command, **options):
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True} | options
        process = subprocess.Popen(
            ["bash", "-c", command], cwd=tmp_path, start_new_session=True, **options
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def position(folder: Path) -> dict[str, object]:
    """Return the position in the checkpoint of the run."""
    from gratis.training import checkpoint_file

    _, metadata = checkpoint_file.read(folder / "run" / "checkpoint.safetensors")
    return json.loads(metadata["position"])


def until_it_trains(folder: Path) -> None:
    metrics = folder / "run" / "metrics.jsonl"
    ends = time.monotonic() + 240
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < ends:
        time.sleep(0.05)
    assert metrics.stat().st_size


def test_ctrl_c_saves_although_the_reader_of_its_output_is_gone(start, tmp_path):
    """The terminal sends the signal to the whole pipe: ``tee`` ends at once."""
    process = start(f"{LONG} 2>&1 | tee log; exit ${{PIPESTATUS[0]}}")
    until_it_trains(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert position(tmp_path)["steps"] > 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_hung_up_run_is_saved(start, tmp_path):
    """Of a run that is terminated, test_cli.py shows that it is saved, and resumed."""
    process = start(f"exec {LONG}")
    until_it_trains(tmp_path)
    process.send_signal(signal.SIGHUP)
    (_, told) = process.communicate(timeout=120)
    assert process.returncode == 130
    assert position(tmp_path)["steps"] > 0
    assert "and saved; continue with: gratis resume run" in told and "Traceback" not in told


def in_a_terminal(command, folder):
    """Start a command in a terminal of its own; return the terminal's other end and the process."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        start_new_session=True,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(follower)
    return leader, process


def test_a_closed_terminal_saves(tmp_path):
    """The terminal is gone when the message about the stop is printed."""
    leader, process = in_a_terminal(f"exec {LONG}", tmp_path)
    try:
        while not (tmp_path / "run" / "metrics.jsonl").exists():
            os.read(leader, 1024)
        until_it_trains(tmp_path)
        os.close(leader)
        assert process.wait(120) == 130
    finally:
        process.kill()
        process.wait()
    assert position(tmp_path)["steps"] > 0


def test_a_run_under_nohup_survives_its_terminal(tmp_path):
    leader, process = in_a_terminal(f"trap '' HUP; exec {SHORT}", tmp_path)
    # Once the command has printed, its shell ignores the signal of a closed terminal.
    os.read(leader, 1)
    os.close(leader)
    # Nothing can be printed. That is an error at the end, when everything is done.
    assert process.wait(240) in (0, 2)
    assert (tmp_path / "run" / "results.json").exists()


@pytest.mark.parametrize(
    "streams, exit_code",
    [
        (">/dev/full 2>/dev/full", 2),
        (">&- 2>&- <&-", 0),
        ("2>&1 | (exec <&-; sleep 600)", None),
        ("2>&1 | head -c 1", None),
    ],
)
def test_output_that_is_full_closed_or_gone_loses_nothing(streams, exit_code, start, tmp_path):
    streams = streams.replace("; sleep 600", "")
    process = start(f"{SHORT} {streams}; exit ${{PIPESTATUS[0]}}", stdout=subprocess.PIPE)
    process.communicate(timeout=240)
    assert process.returncode == (exit_code or 0)
    assert (tmp_path / "run" / "results.json").exists()
    # No message was written into a file that got the number of a closed stream.
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        json.loads(line)
    assert position(tmp_path)["finished"]


def test_what_a_command_only_prints_and_cannot_is_an_error(start):
    process = start(f"{GRATIS} recipes ls >/dev/full")
    (_, told) = process.communicate(timeout=120)
    assert process.returncode == 2
    assert told == "error: standard output cannot be written (No space left on device)\n"
    process = start(f"{GRATIS} recipes ls | head -1; exit ${{PIPESTATUS[0]}}")
    (_, told) = process.communicate(timeout=120)
    assert (process.returncode, told) == (0, "")


# Imports that take a while, and what they do on the signal.
SLOW = "import time; time.sleep(60)"
SWALLOWS = "import time\ntry: time.sleep(60)\nexcept BaseException as e: raise ImportError from e"


@pytest.mark.parametrize("module", ["torch", "typer", "numpy"])
@pytest.mark.parametrize("content", [SLOW, SWALLOWS], ids=["slow", "swallows the signal"])
def test_ctrl_c_during_imports_prints_no_traceback(module, content, tmp_path):
    """The folder on the path holds a module that takes as long to import as the real one may."""
    (tmp_path / f"{module}.py").write_text(f"print('importing', flush=True)\n{content}\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "gratis.cli", "train", "free"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == "importing\n"
        os.killpg(process.pid, signal.SIGINT)
        (_, told) = process.communicate(timeout=30)
    finally:
        process.kill()
    assert told == ""
    assert process.returncode == -signal.SIGINT
