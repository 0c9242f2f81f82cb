"""The user's own images, listed in a CSV file: a column of files and one of labels."""

from collections.abc import Sequence
from pathlib import Path

from gratis.data.class_order import order_classes
from gratis.data.dataset import Dataset, few, refuse_few_classes
from gratis.data.layout import TEST, TRAIN, VALIDATION, describe_held_out, held_out_names
from gratis.data.list_file import Row, read_rows
from gratis.data.own_images import FilesPart, decode_own
from gratis.data.raw import stamp
from gratis.data.source import DataSettings, first_classes
from gratis.errors import GratisError, file_error, printable


def read(settings: DataSettings) -> Dataset:
    """Return the images that the CSV file ``settings.root`` lists.

    Files are relative to the folder of the list. The classes are the labels, in the order of those
    of image folders. A column such as ``split`` says which images are for training and which for
    validation (``test`` where none are); without it some are held out by a hash of their names.
    """
    if settings.root is None:
        raise GratisError("the data source csv needs a file; write --data csv:FILE")
    path = settings.root.expanduser().resolve()
    rows = read_rows(path, settings.columns)
    labels = sorted({row.label for row in rows})
    refuse_few_classes(path, len(labels))
    classes = first_classes(order_classes(path, labels, settings.class_names), settings)
    used = [row for row in rows if row.label in classes]
    if used and used[0].split:
        settings.refuse_fraction(path, "a column split")
        train, validation, details = _by_column(path, used)
    else:
        train, validation = _held_out(path, used, settings.val_fraction)
        details = {"split": describe_held_out(settings.val_fraction)}
    parts = _part(path, train, classes), _part(path, validation, classes)
    return decode_own(settings, path, classes, parts, details, warn=False)


def _by_column(path: Path, rows: Sequence[Row]) -> tuple[list[Row], list[Row], dict[str, str]]:
    known = (*TRAIN, *VALIDATION, *TEST)
    for row in rows:
        if row.split.lower() not in known:
            problem = f"line {row.line} has the split {row.split!r}"
            raise file_error(path, printable(problem), f"write one of {', '.join(known)}")
    names = VALIDATION if any(row.split.lower() in VALIDATION for row in rows) else TEST
    train = [row for row in rows if row.split.lower() in TRAIN]
    validation = [row for row in rows if row.split.lower() in names]
    unread = len(rows) - len(train) - len(validation)
    details = {"split": "the column of the list", "not read": f"{unread} test" if unread else ""}
    return train, validation, details


def _held_out(path: Path, rows: Sequence[Row], fraction: float) -> tuple[list[Row], list[Row]]:
    if fraction == 1:
        return list(rows), list(rows)
    chosen: set[str] = set()
    for label in sorted({row.label for row in rows}):
        files = [row.file for row in rows if row.label == label]
        if len(files) < 2:
            problem = f"has 1 image of {label}, and none to hold out for validation"
            raise file_error(path, problem, "add some, or a column split with train and val")
        held_out = held_out_names([f"{label}/{file}" for file in files], fraction)
        chosen |= {file for file, out in zip(files, held_out, strict=True) if out}
    train = [row for row in rows if row.file not in chosen]
    return train, [row for row in rows if row.file in chosen]


def _part(path: Path, rows: Sequence[Row], classes: Sequence[str]) -> FilesPart:
    """Return the files of rows with their labels."""
    labels = {name: label for label, name in enumerate(classes)}
    files = [path.parent / Path(row.file.replace("\\", "/")).expanduser() for row in rows]
    missing = [
        f"{row.file} (line {row.line})"
        for row, file in zip(rows, files, strict=True)
        if not file.is_file()
    ]
    if missing:
        problem = printable(f"names images that do not exist in {path.parent}: {few(missing)}")
        raise file_error(path, problem, "correct the paths, which are relative to the list")
    return FilesPart([stamp(file) for file in files], [labels[row.label] for row in rows])


SOURCES = {"csv": read}
