"""Tiny ImageNet: 200 classes, 500 training and 50 validation images of each, 64x64 pixels."""

import logging
from collections import Counter
from pathlib import Path

from gratis.data.dataset import Dataset, few
from gratis.data.pictures import find_pictures, undecoded
from gratis.data.published import Published, locate
from gratis.data.source import DataSettings, first_classes
from gratis.data.store import Content, Stamp, stamp, stored
from gratis.errors import file_error, printable

logger = logging.getLogger(__name__)

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
    known = _wnids(folder / "wnids.txt")
    wnids = first_classes(known, settings)
    size = settings.size or _SIZE
    train, train_labels = _training(folder, wnids)
    validation, validation_labels = _validation(folder, known, wnids)
    content = Content(
        name=settings.name,
        root=folder,
        size=size,
        classes=_names(folder, wnids),
        files=[*train, *validation, stamp(_annotations(folder))],
        train=undecoded(train, train_labels, size),
        validation=undecoded(validation, validation_labels, size),
        skip_broken=settings.skip_broken,
    )
    _report(train_labels, len(wnids))
    return stored(content)


def _annotations(folder: Path) -> Path:
    return folder / "val" / "val_annotations.txt"


def _lines(path: Path) -> dict[int, str]:
    """Return the lines of a text file that are not empty, by number."""
    # A pipe would be waited for without end.
    if not path.is_file():
        raise file_error(path, "is missing, or is not a file", _RESTORE)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise file_error(path, f"cannot be read ({reason})", _RESTORE) from error
    lines = enumerate(text.splitlines(), start=1)
    return {number: line.strip() for number, line in lines if line.strip()}


def _wnids(path: Path) -> list[str]:
    """Return the classes in their order."""
    wnids: list[str] = []
    for number, wnid in _lines(path).items():
        if wnid in wnids:
            raise file_error(path, f"line {number} names {wnid} again", _RESTORE)
        # It becomes part of a path, which must stay in the folder.
        if not wnid.isalnum():
            raise file_error(path, f"line {number} is no class ({wnid[:40]!r})", _RESTORE)
        wnids.append(wnid)
    return wnids


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


def _validation(
    folder: Path, known: list[str], wnids: tuple[str, ...]
) -> tuple[list[Stamp], list[int]]:
    annotations, images = _annotations(folder), folder / "val" / "images"
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    present = {Path(picture[0]).name: picture for picture in find_pictures(images)}
    wnid_of = _annotated(annotations, frozenset(known))
    for name in wnid_of.keys() - present.keys():
        raise file_error(images / name, f"is missing but listed in {annotations}", _RESTORE)
    if unlisted := sorted(present.keys() - wnid_of.keys()):
        problem = f"does not list {few(unlisted)} of {images}"
        raise file_error(annotations, problem, "restore both from the original archive")
    chosen = {name: wnid for name, wnid in wnid_of.items() if wnid in label_of}
    return [present[name] for name in chosen], [label_of[wnid] for wnid in chosen.values()]


def _annotated(path: Path, known: frozenset[str]) -> dict[str, str]:
    """Return the class of each validation image, in the file's order."""
    wnid_of: dict[str, str] = {}
    for number, line in _lines(path).items():
        name, wnid = [*line.split("\t"), ""][:2]
        if wnid not in known:
            raise file_error(path, f"line {number} names no class of wnids.txt", _RESTORE)
        if name in wnid_of:
            raise file_error(path, f"line {number} lists {name} again", _RESTORE)
        wnid_of[name] = wnid
    return wnid_of


def _names(folder: Path, wnids: tuple[str, ...]) -> tuple[str, ...]:
    """Return a readable name for each class: the first of its words, unless two would be equal."""
    words = _words(folder / "words.txt")
    names = [words.get(wnid, wnid) for wnid in wnids]
    count = Counter(names)
    return tuple(
        name if count[name] == 1 else f"{name} ({wnid})"
        for name, wnid in zip(names, wnids, strict=True)
    )


def _words(path: Path) -> dict[str, str]:
    """Return the first of the words for each class; none where there is no such file."""
    words: dict[str, str] = {}
    for number, line in _lines(path).items() if path.exists() else ():
        wnid, _, rest = line.partition("\t")
        word = rest.split(",")[0].strip()
        if not word:
            raise file_error(path, f"line {number} is not a class, a tab and words", _RESTORE)
        words[wnid] = printable(word)
    return words


def _report(labels: list[int], classes: int) -> None:
    """Say how many training images there are where the original has more."""
    counts = Counter(labels).values()
    fewest, most = min(counts), max(counts)
    if (fewest, most) == (_IMAGES_A_CLASS, _IMAGES_A_CLASS):
        return
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    whole = classes * _IMAGES_A_CLASS
    logger.info(
        f"tiny-imagenet: using the {len(labels)} of {whole} training images present, {each} a class"
    )


SOURCES = {"tiny-imagenet": read}
