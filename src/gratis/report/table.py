"""A table as plain data, and its rendering for Markdown; text made safe."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from markupsafe import Markup

from gratis.errors import printable
from gratis.results import Results


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: the content.
        margin: the uncertainty of a number, such as ``±1.2``.
        small: additional text, below the content where it fits.
        bad: whether to highlight the content as a failure.
    """

    text: str
    margin: str = ""
    small: str = ""
    bad: bool = False


class TableRow(NamedTuple):
    """A row of a table: its cells, whether it is emphasised, whether it ends a group of rows."""

    cells: Sequence[Cell]
    strong: bool = False
    ends_group: bool = False


@dataclass(frozen=True)
class Table:
    """A table that every output renders from the same content.

    Attributes:
        columns: the header.
        rows: the rows, with a cell for each column.
        left: the number of leading columns that are aligned left; the others hold numbers.
        title: the line above the table.
        notes: the lines below it.
        optional: the headers of columns that a narrow terminal may leave out, in this order.
        complete: what has all columns.
    """

    columns: Sequence[Cell]
    rows: Sequence[TableRow]
    left: int = 1
    title: str = ""
    notes: Sequence[str] = field(default_factory=tuple)
    optional: Sequence[str] = ()
    complete: str = "results.json"


def markdown_table(table: Table) -> str:
    """Return header and rows as a Markdown table, without title and notes."""
    header = [", ".join(filter(None, (column.text, column.small))) for column in table.columns]
    rule = ["---"] * table.left + ["---:"] * (len(header) - table.left)
    lines = [header, rule, *(_markdown_cells(row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown_cells(row: TableRow) -> list[str]:
    cells = []
    for place, cell in enumerate(row.cells):
        text = plain(cell.text)
        if cell.bad or (row.strong and not place):
            text = f"**{text}**"
        number = " ".join(filter(None, (text, plain(cell.margin))))
        cells.append(", ".join(filter(None, (number, plain(cell.small)))))
    return cells


def in_common(results: Sequence[Results], field: str) -> str:
    """Return the value of a field, or its different values in the order of appearance."""
    values: list[Any] = [getattr(result, field) for result in results]
    return ", ".join(dict.fromkeys(as_text(field, value) for value in values))


def as_text(field: str, value: Any) -> str:
    """Return a value as text: epsilon as a fraction of 255, integers with thousands separators."""
    if field == "epsilon":
        return f"{round(255 * value, 2):g}/255"
    return f"{value:,}" if isinstance(value, int) else str(value)


def count(number: float) -> str:
    """Return a count in a few characters: 950, 55k, 1.2M, 3.4P."""
    unit = ""
    for larger in "kMGTPE":
        if number < 999.5:
            break
        number, unit = number / 1_000, larger
    decimals = 0 if not unit or (unit == "k" and number >= 9.95) else 1
    return f"{number:.{decimals}f}{unit}"


def plain(text: object) -> str:
    """Return ``text`` on one line, escaped so that Markdown shows it literally, also in a table.

    Markup stays as it is.
    """
    if isinstance(text, Markup):
        return str(text)
    line = html.escape(printable(" ".join(str(text).split())), quote=False)
    return re.sub(r"[\\`*_\[\]|~#!]", r"\\\g<0>", line)


def visible(value: object) -> object:
    """Return text with control characters, such as changes of direction, as escapes.

    Line breaks stay, and so do values that are markup or no text.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(map(printable, value.split("\n")))


def fence(text: str) -> str:
    """Return ``text`` as a Markdown code block that no line of it can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}\n{text.rstrip()}\n{marks}"
