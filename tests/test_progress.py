"""Progress: a bar that keeps its times at any width, or lines where there is no terminal."""

import io
import logging
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.progress import DownloadColumn, TransferSpeedColumn

from gratis import progress

NOTE = "epoch 12.3  accuracy 45%  cross_entropy 1.234  siamese 0.400  epsilon 8.0/255  replays 4"
BARS = {
    "training": (NOTE, ()),
    "evaluate": ("apgd_t: 123 of 1000 survive", ()),
    "Fetching tiny-imagenet-200.zip": ("", (DownloadColumn(), TransferSpeedColumn())),
}


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of some width; what is drawn on it is in the result."""

    def make(width):
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=width, color_system=None)
        monkeypatch.setattr(progress, "console", console)
        progress.show_bars(True)
        return out

    yield make
    progress.show_bars(False)


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("title", BARS)
def test_a_bar_keeps_its_times(title, width, terminal):
    note, columns = BARS[title]
    out = terminal(width)
    with progress.bar(title, 200e6, *columns) as shown:
        for _ in range(3):
            shown.advance(10e6, note)
        shown._display.refresh()
    last = out.getvalue().replace("\r", "\n").rpartition(title[:6])[2].split("\n")[0]
    times = [word for word in last.split() if word.count(":") == 2]
    assert len(times) == 2, last
    assert len(title[:6] + last.rstrip()) <= width


def test_a_title_cannot_control_the_terminal(terminal):
    out = terminal(80)
    with progress.bar("run\x1b]8;;evil\x1b\\", 3) as shown:
        shown.advance(1, "class \x1b[31mred")
        shown._display.refresh()
    assert "\x1b]8" not in out.getvalue() and "\x1b[31m" not in out.getvalue()
    assert "\\x1b]8;;" in out.getvalue()


def test_a_terminal_gets_no_lines(terminal, caplog):
    caplog.set_level(logging.INFO, "gratis")
    terminal(80)
    with progress.bar("training", 3) as shown:
        shown.line("epoch 1")
    assert not caplog.messages


def test_python_gets_no_bar_even_on_a_terminal(terminal, caplog):
    caplog.set_level(logging.INFO, "gratis")
    out = terminal(80)
    progress.show_bars(False)
    with progress.bar("training", 3) as shown:
        shown.advance(1, "note")
        shown.line("epoch 1")
    assert out.getvalue().strip("\n") == ""
    assert [line.split(";")[0] for line in caplog.messages] == ["training: epoch 1"]


def test_there_is_a_line_a_minute(clock, caplog):
    caplog.set_level(logging.INFO, "gratis")
    with progress.bar("build", 1000) as shown:
        for _ in range(500):
            clock.now += 1
            shown.advance(1, "geometric")
    assert len(caplog.messages) == 8
    assert caplog.messages[0].startswith("build: 6%, geometric")
    with progress.bar("unpack", None) as shown:
        clock.now += 100
        shown.advance()
        shown.line("file")
    assert caplog.messages[-1] == "unpack: file"


@pytest.mark.parametrize(
    "seconds, text", [(0, "0:00"), (61.4, "1:01"), (3599.6, "1:00:00"), (90_000, "25:00:00")]
)
def test_how_a_time_is_written(seconds, text):
    assert progress._clock(seconds) == text
