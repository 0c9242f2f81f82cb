"""Tiny ImageNet: 200 classes, 500 training and 50 validation images of each, 64x64 pixels."""

import logging
from collections import Counter
from pathlib import Path

from gratis.data.dataset import Dataset, few
from gratis.data.image_files import find_images, labelled_images
from gratis.data.images import Preparation, image_split
from gratis.data.published_archive import PublishedArchive, locate
from gratis.data.raw import RawDataset, Stamp, stamp
from gratis.data.source import DataSettings, first_classes
from gratis.data.store import decode_once
from gratis.errors import file_error, printable

logger = logging.getLogger(__name__)

PUBLISHED = PublishedArchive(
    url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    md5="90528d7ca1a48142e341f4ef8d21d0de",
    folder="tiny-imagenet-200",
    marker="wnids.txt",
)
_SIZE = 64
_IMAGES_PER_CLASS = 500
_RESTORE = "restore it from the original archive"


def read(settings: DataSettings) -> Dataset:
    """Return Tiny ImageNet from ``settings.root``, the cache, or the web.

    A training set with fewer images than the original is accepted and logged.
    """
    folder = locate(PUBLISHED, settings.root)
    known = _wnids(folder / "wnids.txt")
    wnids = first_classes(known, settings)
    size = settings.size or _SIZE
    preparation = Preparation(size, settings.resize, settings.white_level)
    images = [folder / "train" / wnid / "images" for wnid in wnids]
    train, train_labels = labelled_images(images, "add some, or remove the class from wnids.txt")
    validation, validation_labels = _validation(folder, known, wnids)
    raw = RawDataset(
        name=settings.name,
        root=folder,
        size=size,
        classes=_names(folder, wnids),
        files=[*train, *validation, stamp(_annotations(folder))],
        train=image_split(train, train_labels, preparation),
        validation=image_split(validation, validation_labels, preparation),
        skip_broken=settings.skip_broken,
        handling=preparation[1:],
    )
    _log_counts(train_labels, len(wnids))
    return decode_once(raw)


def _annotations(folder: Path) -> Path:
    return folder / "val" / "val_annotations.txt"


def _lines(path: Path) -> dict[int, str]:
    """Return the lines of a text file that are not empty, by line number."""
    # To open a named pipe would block forever.
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
    """Return the WordNet identifiers of the classes, in the order of their labels."""
    wnids: list[str] = []
    for number, wnid in _lines(path).items():
        if wnid in wnids:
            raise file_error(path, f"line {number} names {wnid} again", _RESTORE)
        # It becomes part of a path, which must stay inside the folder.
        if not wnid.isalnum():
            raise file_error(path, f"line {number} is not a class ({wnid[:40]!r})", _RESTORE)
        wnids.append(wnid)
    return wnids


def _validation(
    folder: Path, known: list[str], wnids: tuple[str, ...]
) -> tuple[list[Stamp], list[int]]:
    annotations, images = _annotations(folder), folder / "val" / "images"
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    present = {Path(file[0]).name: file for file in find_images(images).files}
    wnid_of = _annotated(annotations, frozenset(known))
    for name in wnid_of.keys() - present.keys():
        raise file_error(images / name, f"is missing but listed in {annotations}", _RESTORE)
    if unlisted := sorted(present.keys() - wnid_of.keys()):
        problem = f"does not list {few(unlisted)} in {images}"
        raise file_error(annotations, problem, "restore both from the original archive")
    chosen = {name: wnid for name, wnid in wnid_of.items() if wnid in label_of}
    return [present[name] for name in chosen], [label_of[wnid] for wnid in chosen.values()]


def _annotated(path: Path, known: frozenset[str]) -> dict[str, str]:
    """Return the class of each validation image, in the order of the file."""
    wnid_of: dict[str, str] = {}
    for number, line in _lines(path).items():
        name, wnid = [*line.split("\t"), ""][:2]
        if wnid not in known:
            raise file_error(
                path, f"line {number} names a class that is not in wnids.txt", _RESTORE
            )
        if name in wnid_of:
            raise file_error(path, f"line {number} lists {name} again", _RESTORE)
        wnid_of[name] = wnid
    return wnid_of


def _names(folder: Path, wnids: tuple[str, ...]) -> tuple[str, ...]:
    """Return a readable name for each class: the first of its words, made unique if necessary."""
    words = _words(folder / "words.txt")
    names = [words.get(wnid, wnid) for wnid in wnids]
    count = Counter(names)
    return tuple(
        name if count[name] == 1 else f"{name} ({wnid})"
        for name, wnid in zip(names, wnids, strict=True)
    )


def _words(path: Path) -> dict[str, str]:
    """Return the first word for each class; empty if there is no such file."""
    words: dict[str, str] = {}
    for number, line in _lines(path).items() if path.exists() else ():
        wnid, _, rest = line.partition("\t")
        word = rest.split(",")[0].strip()
        if not word:
            raise file_error(path, f"line {number} is not a class, a tab and words", _RESTORE)
        words[wnid] = printable(word)
    return words


def _log_counts(labels: list[int], classes: int) -> None:
    """Log the number of training images if it differs from the original's."""
    counts = Counter(labels).values()
    fewest, most = min(counts), max(counts)
    if (fewest, most) == (_IMAGES_PER_CLASS, _IMAGES_PER_CLASS):
        return
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    whole = classes * _IMAGES_PER_CLASS
    logger.info(
        f"tiny-imagenet: using the {len(labels)} of {whole} training images present, "
        f"{each} per class"
    )


SOURCES = {"tiny-imagenet": read}
