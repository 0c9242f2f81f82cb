"""Progress on the terminal: live bars where one watches, quiet lines where none does."""

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
    """Show no progress bars from now on, or show them again where there is a terminal."""
    global _hidden
    _hidden = hide


@contextmanager
def bar(title: str, total: float | None, *columns: ProgressColumn) -> Iterator["Bar"]:
    """Show one progress bar while the block runs; ``columns`` stand before the time left."""
    shown = Progress(
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
    with shown:
        yield Bar(shown, title, total)


class Bar:
    """One task of a live display."""

    def __init__(self, shown: Progress, title: str, total: float | None) -> None:
        """Add a task to a display."""
        self._shown = shown
        self._task = shown.add_task(title, total=total, note="")

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        """Move on by ``amount``; ``note`` replaces the text beside the bar."""
        self._shown.update(self._task, advance=amount)
        if note is not None:
            self._shown.update(self._task, note=note)

    def resize(self, total: float) -> None:
        """Let ``total`` be the whole."""
        self._shown.update(self._task, total=total)


def track(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """Yield from ``items`` under a progress bar that counts them."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with bar(title, total, MofNCompleteColumn()) as shown:
        for item in items:
            yield item
            shown.advance()
