"""A folder of one's own: ``train/<class>/...`` and ``val/<class>/...``, images of any kind."""

from pathlib import Path

from gratis.data.dataset import Dataset
from gratis.data.pictures import find_pictures, undecoded
from gratis.data.source import DataSettings, first_classes
from gratis.data.store import Content, Stamp, stored
from gratis.errors import GratisError, file_error

_DEFAULT_SIZE = 64


def read(settings: DataSettings) -> Dataset:
    """Return the images below ``settings.root``; the classes are the folders' names, sorted.

    Images are 64 pixels wide and high where ``settings.size`` does not say otherwise.

    Raises:
        GratisError: a folder or a class is missing or empty, or an image is broken.
    """
    if settings.root is None:
        raise GratisError("folder needs to know which one; write --data folder:PATH")
    root, size = settings.root.expanduser().resolve(), settings.size or _DEFAULT_SIZE
    classes = first_classes(_shared_classes(root), settings)
    train, train_labels = _pictures(root / "train", classes)
    validation, validation_labels = _pictures(root / "val", classes)
    return stored(
        Content(
            name=settings.name,
            root=root,
            size=size,
            classes=classes,
            files=train + validation,
            train=undecoded(train, train_labels, size),
            validation=undecoded(validation, validation_labels, size),
        )
    )


def _shared_classes(root: Path) -> list[str]:
    train, validation = _class_names(root / "train"), _class_names(root / "val")
    if differing := sorted(train ^ validation):
        lines = [f"{name} (only in {'train' if name in train else 'val'})" for name in differing]
        raise file_error(
            root, f"train and val differ in classes: {', '.join(lines)}", "give both the same"
        )
    return sorted(train)


def _class_names(folder: Path) -> set[str]:
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        remedy = "the root must hold train/<class>/ and val/<class>/"
        raise file_error(folder, "is not a readable folder", remedy) from error
    return {entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")}


def _pictures(folder: Path, classes: tuple[str, ...]) -> tuple[list[Stamp], list[int]]:
    pictures: list[Stamp] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = find_pictures(folder / name)
        if not found:
            raise file_error(folder / name, "holds no images", "add some, or remove the class")
        pictures += found
        labels += [label] * len(found)
    return pictures, labels


SOURCES = {"folder": read}
