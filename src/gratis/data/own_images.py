"""What the readers of a user's own images have in common: sizes, decoding, and what is logged."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median_low
from typing import NamedTuple, Protocol

from gratis.data.dataset import Dataset
from gratis.data.image_files import SAMPLED, sample_sizes
from gratis.data.images import Preparation, Resize, encoded_split
from gratis.data.raw import ImageSource, RawDataset, Stamp
from gratis.data.source import DataSettings
from gratis.data.store import decode_once
from gratis.errors import printable

logger = logging.getLogger(__name__)

# The default size is that of the images, up to that of most pretrained networks.
_LARGEST_DEFAULT, _SMALLEST = 224, 4
_WORDS = {"crop": "centre crop to", "pad": "padded to", "squash": "squashed to"}


class Part(Protocol):
    """The encoded images of a split, in their order."""

    @property
    def labels(self) -> Sequence[int]:
        """The label of every image."""

    @property
    def files(self) -> Sequence[Stamp]:
        """The files that hold the images."""

    def image(self, index: int) -> ImageSource:
        """Return an image; called from several processes or threads."""


class FilesPart(NamedTuple):
    """The images of a split that are a file each."""

    files: list[Stamp]
    labels: list[int]

    def image(self, index: int) -> Path:
        """Return the path of an image."""
        return Path(self.files[index][0])

    def add(self, files: list[Stamp], label: int) -> None:
        """Add images of one class."""
        self.files.extend(files)
        self.labels.extend([label] * len(files))


def decode_own(
    settings: DataSettings,
    root: Path,
    classes: tuple[str, ...],
    parts: tuple[Part, Part],
    details: Mapping[str, str],
    warn: bool,
) -> Dataset:
    """Return a data set of encoded images with ``classes`` by label; log what was read.

    The default of ``settings.size`` is the median of the images' shorter sides, at most 224 pixels.
    ``parts`` are the images for training and for validation. ``details`` are further lines of the
    log, each with a title; empty ones are left out. ``warn`` makes the log a warning.
    """
    train, validation = parts
    sizes = sample_sizes(len(train.labels), train.image)
    size = settings.size or _default_size(sizes)
    preparation = Preparation(size, settings.resize, settings.white_level)
    dataset = decode_once(
        RawDataset(
            name=settings.name,
            root=root,
            size=size,
            classes=classes,
            files=[*train.files, *validation.files],
            train=encoded_split(train.image, train.labels, preparation),
            validation=encoded_split(validation.image, validation.labels, preparation),
            skip_broken=settings.skip_broken,
            # Of the same files, the labels or the images in use can change.
            handling=(*preparation[1:], settings.columns, *train.labels, *validation.labels),
        )
    )
    described = {
        "sizes": _describe_sizes(sizes, size, settings.resize, len(train.labels)),
        **details,
    }
    told = tuple((title, text) for title, text in described.items() if text)
    log = logger.warning if warn else logger.info
    log(printable(f"{root}: {'; '.join(f'{title}: {text}' for title, text in told)}"))
    return dataclasses.replace(dataset, details=told)


def _default_size(sizes: list[tuple[int, int]]) -> int:
    side = median_low(min(size) for size in sizes) if sizes else _LARGEST_DEFAULT
    return max(_SMALLEST, min(side, _LARGEST_DEFAULT))


def _describe_sizes(sizes: list[tuple[int, int]], size: int, resize: Resize, images: int) -> str:
    if not sizes:
        return ""
    smallest, largest = min(sizes, key=min), max(sizes, key=min)
    text = "{}x{}".format(*smallest)
    if smallest != largest:
        text += " to {}x{}".format(*largest)
    if images > SAMPLED:
        text += f" in a sample of {len(sizes)}"
    return text if set(sizes) == {(size, size)} else f"{text}, {_WORDS[resize]} {size}x{size}"
