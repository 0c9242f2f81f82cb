"""The user's own images: ``train/<class>/...`` and ``val/<class>/...``."""

import unicodedata
from pathlib import Path

from gratis.data.dataset import Dataset, few
from gratis.data.images import image_split, labelled_images
from gratis.data.raw import RawDataset
from gratis.data.source import DataSettings, first_classes
from gratis.data.store import decode_once
from gratis.errors import GratisError, file_error, printable

_DEFAULT_SIZE = 64
_REMEDY = "add some, or remove the class"


def read(settings: DataSettings) -> Dataset:
    """Return the images below ``settings.root``; the classes are the sorted names of its folders.

    Names that differ only in how Unicode spells an accent are the same class. The default of
    ``settings.size`` is 64 pixels.

    Raises:
        GratisError: a folder or a class is missing or empty, or an image is broken.
    """
    if settings.root is None:
        raise GratisError("the data source folder needs a path; write --data folder:PATH")
    root, size = settings.root.expanduser().resolve(), settings.size or _DEFAULT_SIZE
    folders = _class_folders(root / "train"), _class_folders(root / "val")
    _refuse_differing(root, *folders)
    classes = first_classes(sorted(folders[0]), settings)
    train, validation = (
        labelled_images([folder[name] for name in classes], _REMEDY) for folder in folders
    )
    return decode_once(
        RawDataset(
            name=settings.name,
            root=root,
            size=size,
            classes=classes,
            files=train[0] + validation[0],
            train=image_split(*train, size),
            validation=image_split(*validation, size),
            skip_broken=settings.skip_broken,
        )
    )


def _class_folders(split: Path) -> dict[str, Path]:
    """Return the folder of every class in ``split``, by the class's name."""
    try:
        shown = (entry for entry in split.iterdir() if not entry.name.startswith("."))
        entries = sorted(entry for entry in shown if entry.is_dir())
    except OSError as error:
        remedy = "the root must hold train/<class>/ and val/<class>/"
        raise file_error(split, "is not a readable folder", remedy) from error
    folders: dict[str, Path] = {}
    for entry in entries:
        # Some systems store an accent as a character of its own, others do not.
        name = printable(unicodedata.normalize("NFC", entry.name))
        if name in folders:
            raise file_error(split, f"has two folders for class {name}", "merge them into one")
        folders[name] = entry
    return folders


def _refuse_differing(root: Path, train: dict[str, Path], validation: dict[str, Path]) -> None:
    if differing := sorted(train.keys() ^ validation.keys()):
        lines = [f"{name} (only in {'train' if name in train else 'val'})" for name in differing]
        problem = f"train and val differ in classes: {few(lines)}"
        raise file_error(root, problem, "give both the same classes")


SOURCES = {"folder": read}
