"""A CSV file that lists images with their labels."""

import csv
import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gratis.data.dataset import few
from gratis.errors import file_error, printable
from gratis.regular_files import read_text

# The names of columns that are understood, in lower case and without spaces, _ and -.
_FILE = ("file", "filename", "filepath", "path", "image", "imagefile", "imagename", "imagepath")
LABEL_COLUMNS = ("label", "class", "classname", "labelname", "category", "target", "y")
_SPLIT = ("split", "set", "subset", "partition")
_REMEDY = (
    "name the columns in the first line, such as file,label, or with data.columns=[FILE,LABEL]"
)
_LARGEST = 200_000_000
_DELIMITERS = ",;\t|"


class Row(NamedTuple):
    """An image of a list.

    Attributes:
        line: the number of the line that names it.
        file: the path as written.
        label: the name of its class.
        split: the name of its split; empty in a list without a column for it.
    """

    line: int
    file: str
    label: str
    split: str


def read_rows(path: Path, columns: tuple[str, str] | None) -> list[Row]:
    """Return the images that a CSV file names, in its order.

    Its first line names the columns; the delimiter may be a comma, a semicolon, a tab or a bar.
    ``columns`` names those of files and of labels, by default those with usual names.
    """
    lines = _lines(path)
    header = lines[0][1] if lines else []
    file, label = _column(path, header, "file", columns), _column(path, header, "label", columns)
    split = next((place for place, name in enumerate(header) if plain_name(name) in _SPLIT), None)
    needed, rows = max(file, label, split or 0) + 1, []
    for number, cells in lines[1:]:
        if len(cells) < needed or not (cells[file].strip() and cells[label].strip()):
            problem = f"line {number} has no file or no label"
            raise file_error(path, problem, "complete it, or remove the line")
        name = printable(unicodedata.normalize("NFC", cells[label].strip()))
        part = "" if split is None else cells[split].strip()
        rows.append(Row(number, cells[file].strip(), name, part))
    if not rows:
        raise file_error(path, "lists no images", _REMEDY)
    _refuse_twice(path, rows)
    return rows


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the cells of each line that is not empty, with its number."""
    text = read_text(path, _LARGEST, "write --data csv:FILE")
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
    except csv.Error as error:
        raise file_error(path, f"line {reader.line_num} is no CSV ({error})", _REMEDY) from error


def _column(path: Path, header: Sequence[str], what: str, columns: tuple[str, str] | None) -> int:
    """Return the place of the column of files or labels."""
    if columns is None:
        known = _FILE if what == "file" else LABEL_COLUMNS
        places = [place for place, name in enumerate(header) if plain_name(name) in known]
    else:
        wanted = columns[what == "label"]
        places = [place for place, name in enumerate(header) if name.strip() == wanted]
        what = f"column {wanted!r}"
    if len(places) == 1:
        return places[0]
    found = "has no" if not places else f"has {len(places)} columns for the"
    names = few([name.strip() for name in header]) or "none"
    problem = f"{found} {what} in its first line ({names})"
    raise file_error(path, printable(problem), _REMEDY)


def plain_name(name: str) -> str:
    """Return the name of a column in lower case and without spaces, _ and -."""
    return name.strip().lower().replace("_", "").replace("-", "").replace(" ", "")


def _refuse_twice(path: Path, rows: Sequence[Row]) -> None:
    first: dict[str, int] = {}
    for row in rows:
        if row.file in first:
            problem = f"names {row.file} in lines {first[row.file]} and {row.line}"
            raise file_error(path, printable(problem), "name every image once")
        first[row.file] = row.line
