"""How a folder of images is laid out: its splits, and images held out where there is no split."""

import unicodedata
from pathlib import Path
from typing import NamedTuple

from gratis.data.raw import Stamp
from gratis.digests import digest
from gratis.errors import file_error, printable

_TRAIN = ("train", "training")
_VALIDATION = ("val", "valid", "validation")
_TEST = ("test", "testing")
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

    Raises:
        GratisError: a folder cannot be read, there are two of a kind, or only a validation folder.
    """
    folders = subfolders(root)
    train = _only(root, folders, _TRAIN)
    validation = _only(root, folders, _VALIDATION) or _only(root, folders, _TEST)
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
    """Return the folders in ``folder`` that are not hidden, sorted.

    Raises:
        GratisError: it cannot be read.
    """
    try:
        visible = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
        return sorted(entry for entry in visible if entry.is_dir() and entry.name not in _IGNORED)
    except OSError as error:
        raise file_error(folder, "is not a readable folder", _REMEDY) from error


def hold_out_files(
    folder: Path, name: str, files: list[Stamp], fraction: float
) -> tuple[list[Stamp], list[Stamp]]:
    """Return the images of a class to train on, and those to validate on.

    A hash of an image's path below the folder of its class decides, so that an image stays where
    it is when others are added. At least one image is in each part.

    Args:
        folder: the folder of the class.
        name: the name of the class.
        files: the images in ``folder``.
        fraction: how many of the images to validate on, in (0, 1]; 1 puts all of them into both.

    Raises:
        GratisError: the class has one image.
    """
    if fraction == 1:
        return files, files
    if len(files) < 2:
        remedy = "add some, or make the folders train and val"
        raise file_error(folder, "has 1 image, and none to hold out for validation", remedy)
    drawn = {file: _uniform(folder, name, file) for file in files}
    order = sorted(drawn, key=lambda file: drawn[file])
    count = sum(value < fraction for value in drawn.values())
    chosen = set(order[: min(max(count, 1), len(order) - 1)])
    return (
        [file for file in files if file not in chosen],
        [file for file in files if file in chosen],
    )


def _uniform(folder: Path, name: str, file: Stamp) -> float:
    """Return a number in [0, 1) that depends on the class and the name of the file only."""
    path = f"{name}/{Path(file[0]).relative_to(folder).as_posix()}"
    key = digest([printable(unicodedata.normalize("NFC", path))])
    return float(int(key[:_DIGITS], 16) / 16**_DIGITS)
