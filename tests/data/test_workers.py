"""Many images are decoded by worker processes, which end with the process that started them."""

import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from gratis.data import processes, workers
from gratis.data.decoding import write_images
from gratis.data.raw import BrokenImage, RawSplit
from gratis.data.shard_files import Shard
from gratis.errors import GratisError

IMAGES = 1500

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")


def decode(path: Path, split: RawSplit, size: int) -> None:
    shard = Shard(path, range(len(split.labels)), full=True)
    write_images(split, [shard], size, False, "Decoding", lambda *_: None)


def written(path: Path, read, images: int = IMAGES) -> np.ndarray:
    decode(path, RawSplit(np.zeros(images, dtype=np.int64), read), 2)
    return np.load(path)


def test_every_image_is_in_order_and_decoded_by_another_process(tmp_path):
    here = os.getpid()

    def read(index):
        return np.full((2, 2, 3), (*divmod(index, 100), os.getpid() != here), dtype=np.uint8)

    for index, image in enumerate(written(tmp_path / "images.npy", read)):
        assert (image == (*divmod(index, 100), True)).all()


def test_a_broken_image_in_a_worker_is_named(tmp_path):
    def read(index):
        if index == 1100:
            raise BrokenImage(Path("train/cat.jpg"), "cut off")
        return np.zeros((2, 2, 3), dtype=np.uint8)

    with pytest.raises(BrokenImage, match=r"train/cat\.jpg: is not a readable image \(cut off\)"):
        written(tmp_path / "images.npy", read)


def test_a_broken_image_can_be_pickled():
    error = BrokenImage(Path("a.jpg"), "cut off")
    sent = pickle.loads(pickle.dumps(error))
    assert (str(sent), sent.path, sent.reason) == (str(error), error.path, "cut off")


def test_a_killed_process_is_one_clear_line(tmp_path):
    def read(index):
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(GratisError, match="was killed; free some memory"):
        written(tmp_path / "images.npy", read)


def test_a_worker_killed_at_any_moment_never_hangs_the_decoding(tmp_path):
    split = RawSplit(np.zeros(5000, dtype=np.int64), lambda _: np.zeros((64, 64, 3), np.uint8))
    draw = random.Random(0)

    def kill_one(wait: float) -> None:
        time.sleep(wait)
        for process in multiprocessing.active_children()[:1]:
            process.kill()

    for _ in range(10):
        killer = threading.Thread(target=kill_one, args=[draw.uniform(0, 0.2)])
        killer.start()
        with suppress(GratisError):
            decode(tmp_path / "images.npy", split, 64)
        killer.join()
        assert not multiprocessing.active_children()


@pytest.mark.parametrize("fault", [OSError(11, "no more"), MemoryError()], ids=repr)
def test_where_no_process_can_be_started_threads_decode(tmp_path, monkeypatch, fault):
    def refused():
        raise fault

    monkeypatch.setattr(os, "fork", refused)
    assert decoders(tmp_path, IMAGES) == {os.getpid()}


def test_where_few_processes_can_be_started_these_decode(tmp_path, monkeypatch):
    fork, calls = os.fork, []

    def refused():
        calls.append(1)
        if len(calls) > 2:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return fork()

    monkeypatch.setattr(os, "fork", refused)
    monkeypatch.setattr(workers, "cores", lambda: 4)
    assert len(decoders(tmp_path, IMAGES) - {os.getpid()}) in (1, 2)
    assert not multiprocessing.active_children()


def test_processes_that_fail_to_start_are_replaced_by_threads(tmp_path, monkeypatch):
    def refused(_):
        raise OSError("no such call")

    monkeypatch.setattr(processes.ctypes, "CDLL", refused)
    assert decoders(tmp_path, IMAGES) == {os.getpid()}


@pytest.mark.parametrize("started", [0, 1], ids=["no thread", "the pool's first thread only"])
def test_where_no_thread_can_be_started_the_caller_decodes(tmp_path, monkeypatch, started):
    start, calls = threading.Thread.start, []

    def refused(thread):
        calls.append(thread)
        if len(calls) > started:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    monkeypatch.setattr(workers, "cores", lambda: 2)
    assert decoders(tmp_path, 100) == {os.getpid()}
    assert len(calls) == started + 1
    # Processes need no thread of this process.
    assert os.getpid() not in decoders(tmp_path, IMAGES)
    assert len(calls) == started + 1
    assert not multiprocessing.active_children()


def test_a_worker_that_is_killed_at_the_end_holds_nothing_up():
    for _ in range(10):
        with workers.parallel_map(lambda _: os.getpid(), 8, 4, processes=True) as results:
            found = set(results)
            os.kill(found.pop(), signal.SIGKILL)
        assert not any(map(alive, found))


def test_a_worker_killed_while_it_sends_a_large_result_holds_nothing_up(tmp_path, monkeypatch):
    """The connection is full: the second worker waits in the middle of its result."""
    monkeypatch.setattr(workers, "cores", lambda: 2)

    def work(task):
        if task == 1:
            (tmp_path / str(os.getpid())).touch()
        return bytes(task * 2**24)

    with (
        pytest.raises(GratisError, match="was killed"),
        workers.parallel_map(work, 2, 2, processes=True) as results,
    ):
        next(results)
        (process,) = waited(lambda: [int(path.name) for path in tmp_path.iterdir()])
        assert waited(lambda: alive_and_waiting(process))
        os.kill(process, signal.SIGKILL)
        list(results)


def alive_and_waiting(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize("processes", [False, True], ids=["threads", "processes"])
def test_results_come_in_order_and_few_tasks_run_ahead(tmp_path, processes):
    def work(task):
        (tmp_path / str(task)).touch()
        return task

    with workers.parallel_map(work, 50, 3, processes) as results:
        for expected, task in enumerate(results):
            assert task == expected
            assert max(int(path.name) for path in tmp_path.iterdir()) <= task + 3


def test_few_images_are_decoded_without_processes(tmp_path):
    assert decoders(tmp_path, 100) == {os.getpid()}
    assert os.getpid() not in decoders(tmp_path, IMAGES)


def decoders(folder: Path, images: int) -> set[int]:
    """Return the ids of the processes that decode this many images."""

    def read(index):
        (folder / f"by {os.getpid()}").touch()
        return np.zeros((2, 2, 3), dtype=np.uint8)

    written(folder / "images.npy", read, images)
    found = {int(path.name.split()[1]) for path in folder.glob("by *")}
    for path in folder.glob("by *"):
        path.unlink()
    return found


ENDLESS = """
import os, sys, time
from pathlib import Path
import numpy as np
from gratis.data.decoding import write_images
from gratis.data.raw import RawSplit
from gratis.data.shard_files import Shard

def read(index):
    (Path(sys.argv[1]) / str(os.getpid())).touch()
    time.sleep(600)

split = RawSplit(np.zeros(2000, np.int64), read)
shard = Shard(Path(sys.argv[1]) / "x.npy", range(2000), full=True)
write_images(split, [shard], 2, False, "", print)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda how: how.name)
def test_workers_end_with_their_parent(tmp_path, how):
    parent = subprocess.Popen([sys.executable, "-c", ENDLESS, tmp_path])
    try:
        found = waited(lambda: [int(p.name) for p in tmp_path.iterdir() if p.name.isdigit()])
        assert found and parent.pid not in found
    finally:
        parent.send_signal(how)
    parent.wait(30)
    assert waited(lambda: not any(map(alive, found)))


def waited(look):
    """Return the result of ``look`` as soon as it is true, or the last one after a minute."""
    ends = time.monotonic() + 60
    while not (found := look()) and time.monotonic() < ends:
        time.sleep(0.05)
    return found


def alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
