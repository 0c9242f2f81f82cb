"""Image files: found below a folder, and decoded to small RGB squares whatever their kind."""

import errno
import logging
import os
import stat
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from gratis.data.decoding import BrokenImage, Undecoded
from gratis.data.store import Stamp
from gratis.errors import file_error

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# What these files are by content, whatever they are called. Pillow knows more formats, and starts
# another program for one of them.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# Pillow's own limit, at which it only warns.
_MOST_PIXELS = 89_478_485
# The machine's divergence, not the image's.
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def find_pictures(folder: Path) -> list[Stamp]:
    """Return every image file in ``folder`` and below, sorted by path; none if it is missing.

    Hidden files, and files of other kinds, are passed over. Links are followed; a folder to which
    several lead, or that holds itself, counts once.
    """
    found: list[Stamp] = []
    seen: set[tuple[int, int]] = set()
    waiting = [str(folder)] if folder.is_dir() else []
    while waiting:
        here = waiting.pop()
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(here) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
        # In an order of its own, so that the same one of several links is followed everywhere.
        for entry in sorted(shown, key=lambda entry: entry.name):
            if _is_folder(entry):
                waiting.append(entry.path)
            elif entry.name.lower().endswith(_SUFFIXES):
                found.append(_stamp(entry))
    return sorted(found)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _stamp(entry: os.DirEntry[str]) -> Stamp:
    try:
        status = entry.stat()
    except OSError:
        # A link to nowhere: whoever reads it will hear so.
        return entry.path, 0, 0
    return entry.path, status.st_size, status.st_mtime_ns


def undecoded(pictures: Sequence[Stamp], labels: Sequence[int], size: int) -> Undecoded:
    """Return a split whose image i is ``pictures[i]``, resized to ``size``."""
    return Undecoded(
        np.asarray(labels, dtype=np.int64),
        lambda index: read_picture(Path(pictures[index][0]), size),
    )


def read_picture(path: Path, size: int) -> NDArray[np.uint8]:
    """Return an image file as uint8 RGB of shape (size, size, 3), upright.

    The shorter side is scaled to ``size`` (bilinear, antialiased) and the longer side cut to the
    centre. Transparency is ignored; 16-bit greys are scaled to 8 bits.

    Raises:
        BrokenImage: the file is missing, truncated, no image of a known format, or has more than
            89 million pixels.
        GratisError: the memory does not suffice.
    """
    _prepare_pillow()
    try:
        return _decoded(path, size)
    # Pillow's decoders raise whatever they stumble on: OSError, SyntaxError, struct.error, ...
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) in _SCARCE:
            problem = f"cannot be read now ({_reason(error)})"
            raise file_error(path, problem, "free some memory and run again") from error
        raise BrokenImage(path, _reason(error)) from error


def _decoded(path: Path, size: int) -> NDArray[np.uint8]:
    status = path.stat()
    # A pipe would be waited for without end.
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a file")
    if status.st_size == 0:
        raise OSError("the file is empty")
    with Image.open(path, formats=_FORMATS) as image:
        if image.width * image.height > _MOST_PIXELS:
            raise Image.DecompressionBombError
        image.load()
        return np.asarray(resized(_rgb(_upright(image)), size))


def resized(image: Image.Image, size: int) -> Image.Image:
    """Return the centre square of ``image``, scaled to ``size`` pixels, bilinear, antialiased."""
    if image.size == (size, size):
        return image
    side = min(image.size)
    left, top = ((length - side) / 2 for length in image.size)
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _upright(image: Image.Image) -> Image.Image:
    """Turn a loaded image as its EXIF data say: cameras store photographs sideways."""
    try:
        # Spares the copy that Pillow makes of what is upright already; so does _rgb.
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image
        return ImageOps.exif_transpose(image)
    # Damaged EXIF data, which many good photographs have.
    except Exception:
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    elif image.mode == "F":
        image = image.convert("L")
    elif image.mode == "P":
        # Straight to RGB, Pillow would warn about palettes with transparent entries.
        image = image.convert("RGBA")
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {_MOST_PIXELS} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "of no known format"
    if isinstance(error, MemoryError):
        return "out of memory"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@cache
def _prepare_pillow() -> None:
    # What it reports of a broken file, beside the error, would reach the terminal.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    # Pillow registers rarer formats on first need, during which another thread's open can fail.
    Image.init()
