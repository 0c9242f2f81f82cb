"""The user's own images, in class folders: ``train/<class>/``, ``val/<class>/`` and the like."""

import unicodedata
from collections import Counter
from pathlib import Path

from gratis.data.class_order import order_classes
from gratis.data.dataset import Dataset, few, refuse_few_classes
from gratis.data.image_files import describe_left_out, has_images, require_images
from gratis.data.layout import Layout, describe_held_out, find_layout, hold_out_files, subfolders
from gratis.data.own_images import FilesPart, decode_own
from gratis.data.source import DataSettings, first_classes
from gratis.errors import GratisError, file_error, printable

_REMEDY = "add some, or remove the class"


def read(settings: DataSettings) -> Dataset:
    """Return the images below ``settings.root``, laid out as :func:`find_layout` says.

    The classes are the names of the folders in natural order, or those of the file
    ``settings.class_names``. Names that differ only in how Unicode spells an accent are the same
    class. The default of ``settings.size`` is the median of the images' shorter sides, and at most
    224 pixels. What was read, and what was left out, is logged and described by the data set.
    """
    if settings.root is None:
        raise GratisError("the data source folder needs a path; write --data folder:PATH")
    root = settings.root.expanduser().resolve()
    layout = find_layout(root)
    if layout.validation is not None:
        settings.refuse_fraction(root, f"the folders {_describe_split(layout, 0)}")
    left_out: Counter[str] = Counter()
    classes, train, validation = _parts(root, layout, settings, left_out)
    details = {
        "split": _describe_split(layout, settings.val_fraction),
        "not read": _describe_unread(left_out, layout.unused),
    }
    return decode_own(settings, root, classes, (train, validation), details, has_images(left_out))


def _parts(
    root: Path, layout: Layout, settings: DataSettings, left_out: Counter[str]
) -> tuple[tuple[str, ...], FilesPart, FilesPart]:
    """Return the classes and the images for training and validation; count the other files."""
    folders = _class_folders(layout.train, left_out)
    if layout.validation is not None:
        validation_folders = _class_folders(layout.validation, left_out)
        _refuse_differing(root, layout, folders, validation_folders)
    if len(folders) == 1 and layout.train == root:
        _refuse_outer_folder(root, *folders.values())
    refuse_few_classes(root, len(folders))
    classes = first_classes(order_classes(root, folders, settings.class_names), settings)
    train, validation = FilesPart([], []), FilesPart([], [])
    for label, name in enumerate(classes):
        if name not in folders:
            continue
        found = require_images(folders[name], _REMEDY)
        left_out.update(found.left_out)
        if layout.validation is None:
            parts = hold_out_files(folders[name], name, found.files, settings.val_fraction)
        else:
            beside = require_images(validation_folders[name], _REMEDY)
            left_out.update(beside.left_out)
            parts = found.files, beside.files
        train.add(parts[0], label)
        validation.add(parts[1], label)
    return classes, train, validation


def _class_folders(split: Path, left_out: Counter[str]) -> dict[str, Path]:
    """Return the folder of every class in ``split``, by the class's name; count loose files."""
    folders: dict[str, Path] = {}
    for entry in subfolders(split):
        # Some systems store an accent as a character of its own, others do not.
        name = printable(unicodedata.normalize("NFC", entry.name))
        if name in folders:
            raise file_error(split, f"has two folders for class {name}", "merge them into one")
        folders[name] = entry
    loose = [entry for entry in split.iterdir() if entry.is_file() and entry.name[0] != "."]
    if loose:
        left_out["outside the class folders"] += len(loose)
    return folders


def _refuse_outer_folder(root: Path, only: Path) -> None:
    """Refuse a folder around that of the images, as archives often unpack to."""
    if inside := subfolders(only):
        names = few([folder.name for folder in inside])
        problem = f"has one folder, whose folders may be the classes ({names})"
        raise file_error(root, problem, f"name {only}")


def _refuse_differing(
    root: Path, layout: Layout, train: dict[str, Path], validation: dict[str, Path]
) -> None:
    assert layout.validation is not None
    first, second = layout.train.name, layout.validation.name
    if differing := sorted(train.keys() ^ validation.keys()):
        lines = [f"{name} (only in {first if name in train else second})" for name in differing]
        problem = f"{first} and {second} differ in classes: {few(lines)}"
        raise file_error(root, problem, "give both the same classes")


def _describe_split(layout: Layout, fraction: float) -> str:
    if layout.validation is not None:
        return f"{layout.train.name} and {layout.validation.name}"
    return describe_held_out(fraction)


def _describe_unread(left_out: Counter[str], folders: tuple[str, ...]) -> str:
    described = [describe_left_out(left_out)] if left_out else []
    return "; ".join(described + ([f"the folders {few(folders)}"] if folders else []))


SOURCES = {"folder": read}
