"""The option --log: what it refuses, and what it leaves alone."""

import os
import subprocess
import sys
import time

import pytest

import gratis
from gratis.errors import GratisError
from gratis.loggers import names, process
from gratis.loggers.following import following


@pytest.mark.parametrize("name", names.NAMES)
@pytest.mark.parametrize(
    "command",
    [
        ["train", "free"],
        ["harden", "resnet18", "--weights", "none.pt"],
        ["reproduce"],
        ["resume", "RUN"],
    ],
    ids=lambda words: words[0],
)
def test_a_missing_package_is_one_line(within, monkeypatch, name, command, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(names, "find_spec", lambda package: None)
    if command[0] == "resume":
        (tmp_path / "RUN").mkdir()
        (tmp_path / "RUN" / "recipe.yaml").write_text("name: x\ntitle: x\nadversary: natural\n")
    before = list(tmp_path.rglob("*"))
    code, streams = within(*command, "--log", name)
    assert code == 2
    assert streams.err == (
        f"error: log: {name} needs the extra '{name}'; install it: pip install 'gratis[{name}]'\n"
    )
    assert list(tmp_path.rglob("*")) == before


def test_an_unknown_logger_gets_a_hint(within):
    code, streams = within("train", "free", "--log", "tensorbord")
    assert code == 2
    assert streams.err == "error: log: no logger 'tensorbord'; did you mean 'tensorboard'?\n"


@pytest.mark.parametrize("wrong", [3, ["wandb", 3], {"a": 1}.values()])
def test_python_refuses_what_is_no_name(wrong, tmp_path):
    with pytest.raises(GratisError, match="log: "):
        gratis.train("free", data="digits", out=tmp_path / "run", log=wrong)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["loggers", "tensorboard"])
def test_nothing_is_written_through_a_link(tmp_path, name):
    run, other = tmp_path / "run", tmp_path / "other"
    run.mkdir()
    other.mkdir()
    (run / name).symlink_to(other)
    with pytest.raises(GratisError, match="is a symbolic link"), following(run, "tensorboard"):
        pytest.fail("the block runs")
    assert not list(other.iterdir())


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "pipe"])
def test_the_errors_of_a_logger_go_into_a_file_of_their_own(tmp_path, kind):
    file, other = tmp_path / "run" / "loggers" / "tensorboard.log", tmp_path / ".bashrc"
    file.parent.mkdir(parents=True)
    if kind != "dangling":
        other.write_text("mine")
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "hard link":
        file.hardlink_to(other)
    else:
        file.symlink_to(other)
    with (
        pytest.raises(GratisError, match=r"tensorboard\.log: .*(link|regular)"),
        following(tmp_path / "run", "tensorboard"),
    ):
        pytest.fail("the block runs")
    assert other.read_text() == "mine" if kind != "dangling" else not other.exists()


def test_a_refused_run_leaves_no_folder(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(GratisError, match="is not a readable folder"):
        gratis.train("free", data=f"folder:{tmp_path}/none", out=run, log="tensorboard")
    assert not run.exists()


def test_a_process_that_fails_at_once_is_one_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with following(tmp_path, "tensorboard"):
        pass
    (record,) = caplog.records
    assert record.getMessage().startswith("tensorboard: failed, see ")


def test_an_interrupt_does_not_wait_for_a_logger(tmp_path, monkeypatch):
    monkeypatch.setattr(process.LoggerProcess, "await_end", lambda self: pytest.fail("waits"))
    with pytest.raises(KeyboardInterrupt), following(tmp_path, "tensorboard"):
        raise KeyboardInterrupt


def test_the_process_ends_when_that_of_the_training_is_killed(tmp_path):
    started = "from gratis.loggers.process import LoggerProcess as P; import os, pathlib, sys; "
    started += "p = P(pathlib.Path(sys.argv[1]), 'tensorboard'); print(p._process.pid, flush=True);"
    (tmp_path / "loggers").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", f"{started} os._exit(9)", tmp_path], capture_output=True, text=True
    )
    pid = int(done.stdout)
    for _ in range(1200):
        if not runs(pid):
            return
        time.sleep(0.1)
    pytest.fail("it still runs")


def runs(pid):
    """Return whether a process of that number still follows a run; a zombie has no arguments."""
    found = subprocess.run(["ps", "-p", str(pid), "-o", "args="], capture_output=True, text=True)
    return "gratis.loggers" in found.stdout
