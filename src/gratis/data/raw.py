"""A data set before decoding: which files it consists of, and how to read each image."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gratis.data.dataset import refuse_degenerate
from gratis.digests import digest
from gratis.errors import GratisError, file_error

# Part of every key: raise it when the layout of the store or the decoding of images changes.
_FORMAT = 3
_REMEDY = (
    "restore it from the original data, remove it, or leave out broken images with "
    "--skip-broken-images"
)

Pixels = NDArray[np.uint8]

# A file: its path, its size in bytes, and its modification time in nanoseconds.
Stamp = tuple[str, int, int]


class EncodedImage(NamedTuple):
    """An encoded image that is no file of its own, such as a member of an archive.

    Attributes:
        path: what names it in messages: its container's path, and its name in it.
        content: its bytes.
    """

    path: Path
    content: bytes


ImageSource: TypeAlias = Path | EncodedImage


def stamp(path: Path) -> Stamp:
    """Return a file's path, size and modification time."""
    remedy = "restore it from the original data"
    try:
        status = path.stat()
    except OSError as error:
        raise file_error(path, f"cannot be read ({error.strerror})", remedy) from error
    # To open a named pipe would block forever.
    if not path.is_file():
        raise file_error(path, "is not a file", remedy)
    return str(path), status.st_size, status.st_mtime_ns


class BrokenImage(GratisError):
    """The image file ``path`` cannot be decoded, because of ``reason``."""

    def __init__(self, path: Path, reason: str, remedy: str = _REMEDY) -> None:
        """Build the message from ``path``, ``reason`` and ``remedy``."""
        super().__init__(str(file_error(path, f"is not a readable image ({reason})", remedy)))
        self.path, self.reason, self.remedy = path, reason, remedy

    def __reduce__(self) -> tuple[type["BrokenImage"], tuple[Path, str, str]]:
        """Return how to unpickle it, since its arguments differ from those of an exception."""
        return type(self), (self.path, self.reason, self.remedy)


@dataclass(frozen=True)
class RawSplit:
    """A split before decoding.

    ``labels`` is int64 of shape (n,). ``read(i)`` returns image i as uint8 of shape (size, size, 3)
    or raises :class:`BrokenImage`; it is called from several processes or threads.
    """

    labels: NDArray[np.int64]
    read: Callable[[int], Pixels]


@dataclass(frozen=True)
class RawDataset:
    """A data set before decoding: everything that the arrays in the store depend on.

    ``root`` is the resolved folder of the data, ``files`` are all files that are read, ``size`` is
    the height and width of the decoded images, in pixels, and ``handling`` is any other setting
    that changes pixels.

    Raises:
        GratisError: there are fewer than two classes, or a split has no images.
    """

    name: str
    root: Path
    size: int
    classes: tuple[str, ...]
    files: list[Stamp]
    train: RawSplit
    validation: RawSplit
    skip_broken: bool = False
    handling: tuple[object, ...] = ()

    def __post_init__(self) -> None:
        """Refuse, before decoding, data that a classifier cannot be trained or evaluated on."""
        counts = len(self.train.labels), len(self.validation.labels)
        refuse_degenerate(self.root, len(self.classes), *counts)

    def key(self) -> str:
        """Return a digest that changes with any setting, and with any file's size or time.

        It does not depend on ``skip_broken``, so that decoding goes on with the other value.
        """
        settings = [_FORMAT, self.name, str(self.root), self.size, self.classes]
        # The same files may be divided otherwise.
        settings += [len(self.train.labels), self.handling]
        # One by one: there may be millions.
        lines = (json.dumps(part) for part in itertools.chain([settings], self.files))
        return digest(lines)[:16]
