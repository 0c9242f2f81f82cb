"""Progress: a bar on the terminal of the command line, and lines through ``logging``.

Where no bar is shown (in Python, in a notebook, in a pipe), the logger ``gratis.progress`` gets a
line at the level INFO for every epoch and task, and one a minute in between.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from gratis.errors import printable

Item = TypeVar("Item")

logger = logging.getLogger(__name__)

# Standard error, so that tables on standard output can be piped.
console = Console(stderr=True, highlight=False)
_shown = False
# The most seconds without a line.
_SILENCE = 60.0


def show_bars(show: bool) -> None:
    """Show progress bars from now on, or hide them; by default they are hidden."""
    global _shown
    _shown = show


class _Field(ProgressColumn):
    """A field of the task on one line, shortened where the terminal is too narrow."""

    def __init__(self, name: str) -> None:
        self._name = name
        super().__init__()

    def render(self, task: Task) -> Text:
        text = task.description if self._name == "description" else task.fields[self._name]
        # Strangers' names must not control the terminal.
        return Text(printable(text), no_wrap=True, overflow="ellipsis")


@contextmanager
def bar(title: str, total: float | None, *columns: ProgressColumn) -> Iterator["Bar"]:
    """Report progress while the block runs, in a bar or in lines.

    Args:
        title: what is done.
        total: the amount of work, or ``None`` if it is unknown.
        columns: columns of the bar after the times.
    """
    visible = _shown and console.is_terminal
    display = Progress(
        _Field("description"),
        BarColumn(bar_width=20),
        # Only these keep their width on a narrow terminal.
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        *columns,
        _Field("note"),
        console=console,
        transient=True,
        disable=not visible,
    )
    with display:
        yield Bar(display, title, total, visible)


class Bar:
    """The progress of one piece of work."""

    def __init__(self, display: Progress, title: str, total: float | None, visible: bool) -> None:
        """Add the work to a live display."""
        self._display, self._title, self._visible = display, title, visible
        self._id = display.add_task(title, total=total, note="")
        self._said = time.monotonic()

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        """Note that ``amount`` is done; ``note`` replaces the text beside the bar."""
        self._display.update(self._id, advance=amount)
        if note is not None:
            self._display.update(self._id, note=note)
        if time.monotonic() - self._said > _SILENCE:
            task = self._task
            share = "" if task.percentage == 0 else f"{task.percentage:.0f}%"
            self.line(", ".join(filter(None, [share, str(task.fields["note"])])))

    def resize(self, total: float | None) -> None:
        """Change the amount of work to ``total``; ``None`` if it is unknown."""
        self._display.update(self._id, total=total)

    def line(self, text: str) -> None:
        """Log a line with the time left, where no bar shows it."""
        self._said = time.monotonic()
        if self._visible:
            return
        left = self._task.time_remaining
        ending = "" if left is None or self._task.finished else f"; {_clock(left)} left"
        logger.info(f"{self._title}: {text}{ending}")

    @property
    def _task(self) -> Task:
        return self._display.tasks[self._display.task_ids.index(self._id)]


def _clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, or as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def track(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """Yield every item of ``items``, and report how many are done."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with bar(title, total, MofNCompleteColumn()) as display:
        for item in items:
            yield item
            display.advance()
