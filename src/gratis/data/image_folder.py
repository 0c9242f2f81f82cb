"""A folder of one's own: ``train/<class>/...`` and ``val/<class>/...``, images of any kind."""

import unicodedata
from pathlib import Path

from gratis.data.dataset import Dataset, few
from gratis.data.pictures import find_pictures, undecoded
from gratis.data.source import DataSettings, first_classes
from gratis.data.store import Content, Stamp, stored
from gratis.errors import GratisError, file_error, printable

_DEFAULT_SIZE = 64


def read(settings: DataSettings) -> Dataset:
    """Return the images below ``settings.root``; the classes are the folders' names, sorted.

    Names that only differ in how Unicode spells an accent are the same class. Images are 64 pixels
    wide and high where ``settings.size`` does not say otherwise.

    Raises:
        GratisError: a folder or a class is missing or empty, or an image is broken.
    """
    if settings.root is None:
        raise GratisError("folder needs to know which one; write --data folder:PATH")
    root, size = settings.root.expanduser().resolve(), settings.size or _DEFAULT_SIZE
    folders = _class_folders(root / "train"), _class_folders(root / "val")
    _refuse_differing(root, *folders)
    classes = first_classes(sorted(folders[0]), settings)
    train, train_labels = _pictures(folders[0], classes)
    validation, validation_labels = _pictures(folders[1], classes)
    return stored(
        Content(
            name=settings.name,
            root=root,
            size=size,
            classes=classes,
            files=train + validation,
            train=undecoded(train, train_labels, size),
            validation=undecoded(validation, validation_labels, size),
            skip_broken=settings.skip_broken,
        )
    )


def _class_folders(part: Path) -> dict[str, Path]:
    """Return the folder of every class in ``part``, by the class's name."""
    try:
        shown = (entry for entry in part.iterdir() if not entry.name.startswith("."))
        entries = sorted(entry for entry in shown if entry.is_dir())
    except OSError as error:
        remedy = "the root must hold train/<class>/ and val/<class>/"
        raise file_error(part, "is not a readable folder", remedy) from error
    folders: dict[str, Path] = {}
    for entry in entries:
        # One system stores an accent as a letter of its own, another does not.
        name = printable(unicodedata.normalize("NFC", entry.name))
        if name in folders:
            raise file_error(part, f"has two folders for class {name}", "merge them into one")
        folders[name] = entry
    return folders


def _refuse_differing(root: Path, train: dict[str, Path], validation: dict[str, Path]) -> None:
    if differing := sorted(train.keys() ^ validation.keys()):
        lines = [f"{name} (only in {'train' if name in train else 'val'})" for name in differing]
        problem = f"train and val differ in classes: {few(lines)}"
        raise file_error(root, problem, "give both the same")


def _pictures(folders: dict[str, Path], classes: tuple[str, ...]) -> tuple[list[Stamp], list[int]]:
    pictures: list[Stamp] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = find_pictures(folders[name])
        if not found:
            raise file_error(folders[name], "holds no images", "add some, or remove the class")
        pictures += found
        labels += [label] * len(found)
    return pictures, labels


SOURCES = {"folder": read}
