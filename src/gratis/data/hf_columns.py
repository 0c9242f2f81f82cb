"""The columns of a table of the ``datasets`` library: that of images, and that of labels."""

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gratis.data.dataset import few
from gratis.data.hf_library import library
from gratis.data.list_file import LABEL_COLUMNS, plain_name
from gratis.errors import file_error, printable

_REMEDY = "name the columns with data.columns=[IMAGE,LABEL]"
_ROWS = 1000


class Columns(NamedTuple):
    """The names of the columns of images and of labels."""

    image: str
    label: str


def find_columns(where: Path, table: Any, named: tuple[str, str] | None) -> Columns:
    """Return the columns ``named``, or the only ones that can be meant.

    Raises:
        GratisError: there is none, or there are several.
    """
    features = table.features
    if named is not None:
        for name in named:
            if name not in features:
                problem = f"has no column {name!r}, but {few(list(features))}"
                raise file_error(where, printable(problem), _REMEDY)
        return Columns(*named)
    images = [name for name, kind in features.items() if isinstance(kind, library().Image)]
    usual = [name for name in features if plain_name(name) in LABEL_COLUMNS]
    classes = [name for name, kind in features.items() if isinstance(kind, library().ClassLabel)]
    return Columns(
        _only(where, "images", images, features), _only(where, "labels", usual or classes, features)
    )


def _only(where: Path, what: str, found: Sequence[str], features: Any) -> str:
    if len(found) == 1:
        return found[0]
    if found:
        problem = f"has {len(found)} columns of {what} ({few(found)})"
    else:
        problem = f"has no column of {what} (its columns: {few(list(features)) or 'none'})"
    raise file_error(where, printable(problem), _REMEDY)


def class_of_each(where: Path, table: Any, column: str) -> list[str]:
    """Return the name of the class of every row.

    Raises:
        GratisError: a row has no label, or the column holds something else.
    """
    values = [value for batch in _batches(table, column) for value in batch.to_pylist()]
    kind = table.features[column]
    names = kind.names if isinstance(kind, library().ClassLabel) else None
    if unlabelled := sum(_is_missing(value, names) for value in values):
        problem = f"has {unlabelled} images without a label in the column {column!r}"
        raise file_error(where, printable(problem), "remove them, or use another split")
    if not all(isinstance(value, int | str) for value in values):
        problem = f"has no labels in the column {column!r}, but {kind}"
        raise file_error(where, printable(problem), _REMEDY)
    return [_class_name(names[value] if names is not None else value) for value in values]


def _is_missing(value: object, names: Sequence[str] | None) -> bool:
    if names is not None:
        # The library writes -1 where the labels of a split are kept secret.
        return not isinstance(value, int) or not 0 <= value < len(names)
    return value is None or value == ""


def class_names(table: Any, column: str) -> list[str] | None:
    """Return the names of the classes in the order of the labels; ``None`` if they have none."""
    kind = table.features[column]
    if not isinstance(kind, library().ClassLabel):
        return None
    return [_class_name(name) for name in kind.names]


def _class_name(value: object) -> str:
    """Return a class's name, spelled as that of a class folder is."""
    return printable(unicodedata.normalize("NFC", str(value).strip()))


def image_names(table: Any, column: str) -> list[str]:
    """Return the file name of every image; the number of its row where not every image has one."""
    names = [
        name
        for batch in _batches(table, column)
        for chunk in batch.chunks
        for name in chunk.field("path").to_pylist()
    ]
    if not all(names):
        digits = len(str(len(names)))
        return [f"{row:0{digits}}" for row in range(len(names))]
    return names


def _batches(table: Any, column: str) -> Iterator[Any]:
    """Yield a column as arrays of Arrow, some rows at a time."""
    for batch in table.select_columns([column]).with_format("arrow").iter(_ROWS):
        yield batch.column(0)
