"""How a folder of images is laid out: its splits, and images held out where there is no split."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gratis.data.raw import Stamp
from gratis.digests import digest
from gratis.errors import file_error, printable

TRAIN = ("train", "training")
VALIDATION = ("val", "valid", "validation")
TEST = ("test", "testing")
# Left behind by archives of macOS.
_IGNORED = ("__MACOSX",)
_REMEDY = "the root must hold train/<class>/ and val/<class>/, or <class>/"
_DIGITS = 12


class Layout(NamedTuple):
    """Where the images of a folder are.

    Attributes:
        train: the folder of the class folders for training.
        validation: the same for validation; ``None`` if images of ``train`` are held out for it.
        unused: the names of the folders beside them.
    """

    train: Path
    validation: Path | None
    unused: tuple[str, ...] = ()


def find_layout(root: Path) -> Layout:
    """Return where the splits of ``root`` are.

    The training images are in ``train`` or ``training``; the validation images in ``val``,
    ``valid`` or ``validation``, or else in ``test`` or ``testing``. Upper case is accepted. Without
    a folder ``train``, the folders in ``root`` are the classes.
    """
    folders = subfolders(root)
    train = _only(root, folders, TRAIN)
    validation = _only(root, folders, VALIDATION) or _only(root, folders, TEST)
    if train is None and validation is not None and subfolders(validation):
        remedy = f"{_REMEDY}; to evaluate only, name {validation} and set data.val_fraction=1"
        raise file_error(root / "train", "is not a readable folder", remedy)
    if train is None or (validation is None and not subfolders(train)):
        return Layout(root, None)
    unused = [folder.name for folder in folders if folder not in (train, validation)]
    return Layout(train, validation, tuple(unused))


def _only(root: Path, folders: list[Path], names: tuple[str, ...]) -> Path | None:
    found = [folder for folder in folders if folder.name.lower() in names]
    if len(found) > 1:
        both = " and ".join(folder.name for folder in found)
        raise file_error(root, f"has the folders {both}", "merge them, or remove all but one")
    return found[0] if found else None


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in ``folder`` that are not hidden, sorted."""
    try:
        visible = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
        return sorted(entry for entry in visible if entry.is_dir() and entry.name not in _IGNORED)
    except OSError as error:
        raise file_error(folder, "is not a readable folder", _REMEDY) from error


def hold_out_files(
    folder: Path, name: str, files: list[Stamp], fraction: float
) -> tuple[list[Stamp], list[Stamp]]:
    """Return the images of the class ``name`` to train on, and those to validate on.

    A hash of an image's path below the folder of its class decides, so that an image stays where it
    is when others are added. At least one image is in each part. ``fraction`` is the share to
    validate on, in (0, 1]; 1 puts all images into both.
    """
    if fraction == 1:
        return files, files
    if len(files) < 2:
        remedy = "add some, or make the folders train and val"
        raise file_error(folder, "has 1 image, and none to hold out for validation", remedy)
    # Text, not paths: there may be millions.
    start = len(str(folder)) + 1
    below = (path[start:].replace(os.sep, "/") for path, _, _ in files)
    held_out = held_out_names([f"{name}/{path}" for path in below], fraction)
    pairs = list(zip(files, held_out, strict=True))
    return [file for file, out in pairs if not out], [file for file, out in pairs if out]


def held_out_names(names: Sequence[str], fraction: float) -> list[bool]:
    """Return which of at least two images of a class to validate on: at least one, and not all."""
    drawn = {name: _uniform(name) for name in names}
    order = sorted(drawn, key=lambda name: drawn[name])
    count = sum(value < fraction for value in drawn.values())
    chosen = set(order[: min(max(count, 1), len(order) - 1)])
    return [name in chosen for name in names]


def describe_held_out(fraction: float) -> str:
    """Return in words which images of data without a split are held out."""
    if fraction == 1:
        return "all images are for training and for validation (data.val_fraction=1)"
    held_out = f"{100 * fraction:g}% of the images are held out for validation"
    return f"{held_out}, by a hash of their names (data.val_fraction)"


def _uniform(name: str) -> float:
    """Return a number in [0, 1) that depends on the class and the name of the file only."""
    key = digest([printable(unicodedata.normalize("NFC", name))])
    return float(int(key[:_DIGITS], 16) / 16**_DIGITS)
