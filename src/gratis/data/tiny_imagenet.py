"""Tiny ImageNet: 200 classes, 500 training and 50 validation images of each, 64x64 pixels."""

from collections import Counter
from pathlib import Path

from gratis.data.dataset import Dataset
from gratis.data.pictures import find_pictures, undecoded
from gratis.data.published import Published, locate
from gratis.data.source import DataSettings, first_classes
from gratis.data.store import Content, Stamp, stamp, stored
from gratis.errors import file_error
from gratis.progress import say

PUBLISHED = Published(
    url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    md5="90528d7ca1a48142e341f4ef8d21d0de",
    folder="tiny-imagenet-200",
    marker="wnids.txt",
)
_SIZE = 64
_IMAGES_A_CLASS = 500
_RESTORE = "restore it from the original archive"


def read(settings: DataSettings) -> Dataset:
    """Return Tiny ImageNet from ``settings.root``, the cache, or the web.

    A training set with fewer images than the original is used as it is, and said to be so.

    Raises:
        GratisError: files are missing, contradict each other or are broken, or the download fails.
    """
    folder = locate(PUBLISHED, settings.root)
    wnids = first_classes(_lines(folder / "wnids.txt"), settings)
    size = settings.size or _SIZE
    train, train_labels = _training(folder, wnids)
    validation, validation_labels = _validation(folder, wnids)
    content = Content(
        name=settings.name,
        root=folder,
        size=size,
        classes=_names(folder, wnids),
        files=[*train, *validation, stamp(_annotations(folder))],
        train=undecoded(train, train_labels, size),
        validation=undecoded(validation, validation_labels, size),
    )
    _report(train_labels, len(wnids))
    return stored(content)


def _annotations(folder: Path) -> Path:
    return folder / "val" / "val_annotations.txt"


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise file_error(path, "cannot be read", _RESTORE) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _training(folder: Path, wnids: tuple[str, ...]) -> tuple[list[Stamp], list[int]]:
    pictures: list[Stamp] = []
    labels: list[int] = []
    for label, wnid in enumerate(wnids):
        images = folder / "train" / wnid / "images"
        found = find_pictures(images)
        if not found:
            problem = f"holds no training images of class {wnid}, which wnids.txt names"
            raise file_error(images, problem, "add them, or take the class out of wnids.txt")
        pictures += found
        labels += [label] * len(found)
    return pictures, labels


def _validation(folder: Path, wnids: tuple[str, ...]) -> tuple[list[Stamp], list[int]]:
    annotations, images = _annotations(folder), folder / "val" / "images"
    known = set(_lines(folder / "wnids.txt"))
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    present = {Path(picture[0]).name: picture for picture in find_pictures(images)}
    listed = _lines(annotations)
    pictures: list[Stamp] = []
    labels: list[int] = []
    for number, line in enumerate(listed, start=1):
        name, wnid = [*line.split("\t"), ""][:2]
        if wnid not in known:
            raise file_error(annotations, f"line {number} names no class of wnids.txt", _RESTORE)
        if name not in present:
            raise file_error(images / name, f"is missing but listed in {annotations}", _RESTORE)
        if wnid in label_of:
            pictures.append(present[name])
            labels.append(label_of[wnid])
    if len(present) != len(listed):
        problem = f"lists {len(listed)} images, but {images} holds {len(present)}"
        raise file_error(annotations, problem, "restore both from the original archive")
    return pictures, labels


def _names(folder: Path, wnids: tuple[str, ...]) -> tuple[str, ...]:
    """Return a readable name for each class: the first of its words, unless two would be equal."""
    path = folder / "words.txt"
    rows = [line.split("\t", 1) for line in _lines(path)] if path.is_file() else []
    words = {row[0]: row[-1].split(",")[0].strip() for row in rows}
    names = [words.get(wnid, wnid) for wnid in wnids]
    count = Counter(names)
    return tuple(
        name if count[name] == 1 else f"{name} ({wnid})"
        for name, wnid in zip(names, wnids, strict=True)
    )


def _report(labels: list[int], classes: int) -> None:
    """Say how many training images there are where the original has more."""
    counts = Counter(labels).values()
    fewest, most = min(counts), max(counts)
    if (fewest, most) == (_IMAGES_A_CLASS, _IMAGES_A_CLASS):
        return
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    whole = classes * _IMAGES_A_CLASS
    say(
        f"tiny-imagenet: using the {len(labels)} of {whole} training images present, {each} a class"
    )


SOURCES = {"tiny-imagenet": read}
