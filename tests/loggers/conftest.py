import json
import socket
import time
from contextlib import ExitStack, nullcontext

import pytest

import gratis
from gratis.loggers import process
from gratis.run import fitting

TINY = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3"),
    *("train.epochs=3", "train.log_every_steps=2", "evaluate.images=20", "evaluate.pgd_steps=2"),
]


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Train a small model in the folder ``runs/tiny`` with loggers; return the folder."""
    for name in ("WANDB_MODE", "WANDB_BASE_URL", "WANDB_PROJECT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    # Not the user's own settings and cache.
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    # Tests must not fail because a machine is busy, and not take long.
    monkeypatch.setattr(process, "_PATIENCE", 240.0)
    monkeypatch.setattr(process, "_NICENESS", 0)

    def train(log):
        out = tmp_path / "runs" / "tiny"
        gratis.train("free-scheduled", data="digits", out=out, overrides=TINY, log=log)
        return out

    return train


class DeadServer:
    """A local address where no server answers.

    Attributes:
        address: its URL.
    """

    def __init__(self, listening, messages, stack):
        self.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self._listening, self._messages, self._stack = listening, messages, stack

    def tried(self):
        """Return whether the logger has tried: it has connected, or said that it cannot."""
        if self._messages is not None:
            return "; training goes on" in self._messages.text
        try:
            # The connection stays open.
            self._stack.enter_context(self._listening.accept()[0])
        except BlockingIOError:
            return False
        return True


@pytest.fixture(params=["silent", "refusing"])
def dead_server(request, caplog, monkeypatch):
    """A server that accepts connections and never answers, and a port that refuses them.

    Training waits at its third step until the logger has tried to reach the server, and goes on
    while it waits. At the end, the logger gets no time.
    """
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        listening.setblocking(False)
        refusing = request.param == "refusing"
        server = DeadServer(listening, caplog if refusing else None, stack)
        if refusing:
            listening.close()

        def prepare():
            steps = iter(range(10**6))

            def wait():
                for _ in range(2400 if next(steps) == 3 else 0):
                    if server.tried():
                        return False
                    time.sleep(0.1)
                return False

            monkeypatch.setattr(fitting, "stopping", lambda: nullcontext(wait))
            monkeypatch.setattr(process, "_PATIENCE", 0.1)
            monkeypatch.setattr(process, "_AFTER_FAILURE", 0.1)
            monkeypatch.setattr(process, "_SILENCE", 0.1)
            return server.address

        yield prepare


@pytest.fixture
def logged():
    """Return the lines of a run's log of one kind, without the rates, which depend on the clock."""

    def read(folder, kind):
        lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        return [
            {k: v for k, v in line.items() if not k.endswith("_per_second")}
            for line in lines
            if line["kind"] == kind
        ]

    return read


@pytest.fixture
def interrupted(monkeypatch):
    """Make trainings stop after so many steps: ``interrupted(5)``."""

    def after(steps):
        left = iter([False] * steps)
        monkeypatch.setattr(fitting, "stopping", lambda: nullcontext(lambda: next(left, True)))

    return after
