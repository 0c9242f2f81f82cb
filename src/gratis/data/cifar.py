"""CIFAR-10 and CIFAR-100 from their binary archives: 50,000 + 10,000 images of 32x32 pixels.

A record is a label, followed by the red, green and blue planes of the image. CIFAR-100 has a
coarse label, which is ignored, before the fine one.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gratis.data.dataset import Dataset
from gratis.data.images import resized
from gratis.data.published_archive import PublishedArchive, locate
from gratis.data.raw import Pixels, RawDataset, RawSplit, stamp
from gratis.data.source import DataSettings, first_classes
from gratis.data.store import decode_once
from gratis.errors import file_error

logger = logging.getLogger(__name__)

_SIZE = 32
_TRAIN, _VALIDATION = 50_000, 10_000
_PIXELS = 3 * _SIZE * _SIZE
_RESTORE = "restore it from the original archive"


@dataclass(frozen=True)
class Layout:
    """The files of a data set; the last of ``label_bytes`` before each image is its label."""

    published: PublishedArchive
    train: tuple[str, ...]
    validation: str
    classes: int
    label_bytes: int


LAYOUTS = {
    "cifar10": Layout(
        published=PublishedArchive(
            url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            md5="c32a1d4ab5d03f1284b67883e8d87530",
            folder="cifar-10-batches-bin",
            marker="batches.meta.txt",
        ),
        train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        validation="test_batch.bin",
        classes=10,
        label_bytes=1,
    ),
    "cifar100": Layout(
        published=PublishedArchive(
            url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
            md5="03b5dce01913d631647c71ecec9e9cb8",
            folder="cifar-100-binary",
            marker="fine_label_names.txt",
        ),
        train=("train.bin",),
        validation="test.bin",
        classes=100,
        label_bytes=2,
    ),
}


def read(settings: DataSettings) -> Dataset:
    """Return CIFAR-10 or CIFAR-100 from ``settings.root``, the cache, or the web.

    Another number of images than in the original is accepted and logged.
    """
    layout = LAYOUTS[settings.name]
    folder = locate(layout.published, settings.root)
    names = folder / layout.published.marker
    classes = first_classes(_class_names(names, layout), settings)
    train, validation = [folder / name for name in layout.train], folder / layout.validation
    files = [stamp(path) for path in (*train, validation)]
    train_records = np.concatenate([_records(path, layout) for path in train])
    validation_records = _records(validation, layout)
    _log_counts(settings.name, len(train_records), len(validation_records))
    size = settings.size or _SIZE
    in_use = range(first := settings.first_class or 0, first + len(classes))
    return decode_once(
        RawDataset(
            name=settings.name,
            root=folder,
            size=size,
            classes=classes,
            files=files,
            train=_split(train_records, layout, in_use, size),
            validation=_split(validation_records, layout, in_use, size),
        )
    )


def _log_counts(name: str, train: int, validation: int) -> None:
    """Log the number of images if it differs from the original's."""
    if (train, validation) != (_TRAIN, _VALIDATION):
        logger.info(
            f"{name}: using the {train} of {_TRAIN} training and {validation} of {_VALIDATION} "
            "validation images present"
        )


def _class_names(path: Path, layout: Layout) -> list[str]:
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise file_error(path, "cannot be read", _RESTORE) from error
    if len(names) != layout.classes:
        raise file_error(path, f"names {len(names)} classes, not {layout.classes}", _RESTORE)
    return names


def _split(records: Pixels, layout: Layout, in_use: range, size: int) -> RawSplit:
    labels = records[:, layout.label_bytes - 1].astype(np.int64) - in_use.start
    kept = np.flatnonzero((labels >= 0) & (labels < len(in_use)))

    def image(index: int) -> Pixels:
        planes = records[kept[index], layout.label_bytes :].reshape(3, _SIZE, _SIZE)
        pixels = np.ascontiguousarray(planes.transpose(1, 2, 0))
        return np.asarray(resized(Image.fromarray(pixels), size))

    return RawSplit(labels[kept], image)


def _records(path: Path, layout: Layout) -> Pixels:
    length = layout.label_bytes + _PIXELS
    content = np.fromfile(path, dtype=np.uint8)
    if len(content) == 0 or len(content) % length:
        problem = f"is truncated ({len(content)} bytes are not whole images of {length})"
        raise file_error(path, problem, _RESTORE)
    records = content.reshape(-1, length)
    if records[:, layout.label_bytes - 1].max() >= layout.classes:
        raise file_error(path, f"has a label above {layout.classes - 1}", _RESTORE)
    return records


SOURCES = dict.fromkeys(LAYOUTS, read)
