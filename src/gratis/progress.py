"""Progress bars on the terminal; none if standard error is not a terminal."""

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")

# Standard error, so that tables on standard output can be piped.
console = Console(stderr=True, highlight=False)
_hidden = False


def hide_bars(hide: bool) -> None:
    """Hide progress bars from now on, or show them again."""
    global _hidden
    _hidden = hide


@contextmanager
def bar(title: str, total: float | None, *columns: ProgressColumn) -> Iterator["Bar"]:
    """Show a progress bar while the block runs, with ``columns`` between the bar and the times.

    ``total`` is the amount of work, or ``None`` if it is unknown.
    """
    display = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        *columns,
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=_hidden or not console.is_terminal,
    )
    with display:
        yield Bar(display, title, total)


class Bar:
    """A progress bar."""

    def __init__(self, display: Progress, title: str, total: float | None) -> None:
        """Add a bar to a live display."""
        self._display = display
        self._task = display.add_task(title, total=total, note="")

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        """Advance the bar by ``amount``; ``note`` replaces the text beside it."""
        self._display.update(self._task, advance=amount)
        if note is not None:
            self._display.update(self._task, note=note)

    def resize(self, total: float) -> None:
        """Change the amount of work to ``total``."""
        self._display.update(self._task, total=total)


def track(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """Yield every item of ``items`` and count them in a progress bar."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with bar(title, total, MofNCompleteColumn()) as display:
        for item in items:
            yield item
            display.advance()
