"""Tables for the terminal, with as many columns as fit its width."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from gratis.errors import printable
from gratis.report.table import Cell, Table, TableRow

if TYPE_CHECKING:
    import rich.table
    from rich.console import Console
    from rich.text import Text

# The least width of the first column, which has the names.
_NAME = 22


def print_table(table: Table, console: "Console") -> None:
    """Print a table; on a narrow terminal it has fewer columns, and says which are missing."""
    left_out: list[str] = []
    shown = terminal_table(table)
    while console.measure(shown, options=console.options.update(width=1000)).minimum > (
        console.width
    ):
        missing = next((name for name in _expendable(table)), None)
        if missing is None:
            break
        left_out.append(missing)
        table = _without(table, missing)
        shown = terminal_table(table)
    if left_out:
        names = ", ".join(left_out)
        note = f"Left out at this width: {names}; {table.complete} has all values."
        shown = terminal_table(replace(table, notes=[*table.notes, note]))
    console.print(shown)


def _expendable(table: Table) -> list[str]:
    """Return the headers that may be left out: first those of columns without any value."""
    names = [column.text for column in table.columns if column.text in table.optional]

    def rank(name: str) -> tuple[bool, int]:
        place = [column.text for column in table.columns].index(name)
        empty = all(row.cells[place].text == "n/a" for row in table.rows)
        return not empty, list(table.optional).index(name)

    return sorted(names, key=rank)


def _without(table: Table, name: str) -> Table:
    keep = [place for place, column in enumerate(table.columns) if column.text != name]
    rows = [row._replace(cells=[row.cells[place] for place in keep]) for row in table.rows]
    return replace(table, columns=[table.columns[place] for place in keep], rows=rows)


def terminal_table(table: Table) -> "rich.table.Table":
    """Return the table for the terminal, with margins and small text below their cell."""
    from rich import box
    from rich.table import Table as RichTable

    shown = RichTable(
        # As text and not as markup, which rich would obey. It has none for an empty title.
        title=_lines(table.title.split("\n"), "table.title") if table.title else None,
        caption=_lines(table.notes, "table.caption") if table.notes else None,
        caption_justify="left",
        box=box.HORIZONTALS,
        padding=(0, 1, 0, 0),
    )
    for place, column in enumerate(table.columns):
        parts = [*column.text.split("_"), *filter(None, [column.small])]
        header = _lines(parts)
        cells = [_terminal_cell(row.cells[place]) for row in table.rows]
        widest = max(line.cell_len for text in (header, *cells) for line in text.split())
        if place < table.left:
            # Rich makes columns that wrap narrower than their minimum, and cuts others off.
            least, short = (0, False) if place else (_NAME, widest <= _NAME)
            shown.add_column(header, min_width=least, no_wrap=short, overflow="fold")
        else:
            # Rich measures the longest word, also where no line may be wrapped.
            shown.add_column(header, justify="right", no_wrap=True, min_width=widest)
    for row in table.rows:
        shown.add_row(
            *map(_terminal_cell, row.cells), end_section=row.ends_group, style=_style(row)
        )
    return shown


def _style(row: TableRow) -> str | None:
    return "bold" if row.strong else None


def _terminal_cell(cell: Cell) -> "Text":
    parts = [_text(cell.text, "bold red" if cell.bad else "")]
    parts += [_text(part, "dim") for part in (cell.margin, cell.small) if part]
    return _joined(parts)


def _lines(lines: Iterable[str], style: str = "") -> "Text":
    return _joined(_text(line, style) for line in lines)


def _joined(lines: Iterable["Text"]) -> "Text":
    from rich.text import Text

    return Text("\n").join(lines)


def _text(line: str, style: str = "") -> "Text":
    """Return ``line`` so that the terminal shows it as it is: no markup, no control characters."""
    from rich.text import Text

    return Text(printable(line), style)
