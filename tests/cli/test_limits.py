"""Limits on memory, threads and processes end in one line: no traceback, no signal, no hang."""

import _thread
import errno
import os
import resource
import shutil
import subprocess
import sys

import pytest

from gratis.cli import limits, running
from gratis.cli.limits import limit_threads, scarcity
from gratis.errors import GratisError
from gratis.files import atomic_file, make_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")

TINY = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3", "train.epochs=1"),
    *("train.held_out_per_class=1", "evaluate.images=20", "evaluate.pgd_steps=1"),
]
PEAK = """
import torch
(line,) = [each for each in open("/proc/self/status") if each.startswith("VmPeak")]
print(line.split()[1])
"""


@pytest.fixture(scope="module")
def needed():
    """The address space in bytes that torch takes by itself."""
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    return 1024 * int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("more", [-0.3, 0.12, 0.2], ids=str)
def test_a_limit_on_memory_is_one_line(more, needed, tmp_path):
    size = int((1 + more) * needed)
    done = subprocess.run(
        [sys.executable, "-m", "gratis.cli", "train", "free", "--out", tmp_path / "run", *TINY],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "Traceback" not in done.stderr and "Segmentation" not in done.stderr
    assert done.returncode >= 0, done.stderr
    if done.returncode == 2:
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert "memory" in line
    if more < 0:
        assert done.returncode


@pytest.mark.parametrize(
    "error, expected",
    [
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: tried 9 bytes"),
            "out of memory",
        ),
        (RuntimeError("could not create a primitive"), "out of memory"),
        (RuntimeError("could not execute a primitive"), "out of memory"),
        (RuntimeError("std::bad_alloc"), "out of memory"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "ulimit -v"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (OSError(errno.ENOENT, "No such file or directory"), None),
        (KeyError("out of memory"), None),
    ],
    ids=repr,
)
def test_what_comes_from_a_limit(error, expected):
    found = scarcity(error)
    assert (found is None) == (expected is None)
    assert expected is None or expected in found
    wrapped = ValueError("a library's own words")
    wrapped.__cause__ = error
    assert scarcity(wrapped) == found


def test_one_thread_is_used_where_no_more_can_be_started(monkeypatch):
    def refused(*_):
        raise RuntimeError("can't start new thread")

    for name in limits._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert limit_threads() is None and "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setattr(_thread, "start_new_thread", refused)
    assert limit_threads() == 1
    assert {os.environ[name] for name in limits._VARIABLES} == {"1"}
    # One thread is enough from now on.
    assert limit_threads() is None


# The superuser has no limit on processes: another user with access to the same files has.
CAPABILITIES = "-all,+dac_override,+dac_read_search"
AS_NOBODY = [
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *(f"--inh-caps={CAPABILITIES}", f"--ambient-caps={CAPABILITIES}"),
]


def as_one_process(*arguments, cache):
    """Run Python where it can start no other process, and no thread."""
    environment = {k: v for k, v in os.environ.items() if k not in limits._VARIABLES}
    return subprocess.run(
        [*(AS_NOBODY if os.geteuid() == 0 else []), sys.executable, *arguments],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (1, 1)),
        env=environment | {"GRATIS_CACHE": str(cache), "HOME": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="setpriv is not installed"
)
def test_a_limit_on_processes_does_not_end_the_command(tmp_path):
    thread = "import _thread; _thread.start_new_thread(print, ())"
    refused = as_one_process("-c", thread, cache=tmp_path)
    assert "can't start new thread" in refused.stderr
    done = as_one_process("-m", "gratis.cli", "data", "digits", cache=tmp_path)
    assert done.returncode in (0, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert "threads can be started (ulimit -u): computing on one" in done.stderr


def test_a_lack_of_memory_is_not_called_an_unwritable_file(tmp_path):
    for number, expected in (
        (errno.ENOMEM, r"written now \(Cannot allocate memory\); free some"),
        (errno.ENOSPC, r"cannot be written \(No space left"),
    ):
        with pytest.raises(GratisError, match=expected), atomic_file(tmp_path / "a"):
            raise OSError(number, os.strerror(number))
    assert not list(make_folder(tmp_path).iterdir())


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")], ids=repr)
def test_the_command_line_prints_one_line(error, monkeypatch, within):
    def fail():
        raise error

    monkeypatch.setattr(running, "app", fail)
    code, streams = within("recipes", "ls")
    assert code == 2
    assert len(streams.err.splitlines()) == 1 and streams.err.startswith("error: ")


def test_a_fault_of_the_program_is_not_hidden(monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["gratis", "recipes", "ls"])
    monkeypatch.setattr(running, "app", fail)
    with pytest.raises(ZeroDivisionError):
        running.run()
