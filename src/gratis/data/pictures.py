"""Image files: found below a folder, and decoded to small RGB squares whatever their kind."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from gratis.data.store import Stamp, Undecoded
from gratis.errors import file_error

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def find_pictures(folder: Path) -> list[Stamp]:
    """Return every image file in ``folder`` and below, sorted by path; none if it is missing.

    Hidden files, and files of other kinds, are passed over.
    """
    found: list[Stamp] = []
    waiting = [str(folder)] if folder.is_dir() else []
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    waiting.append(entry.path)
                elif entry.name.lower().endswith(_SUFFIXES):
                    status = entry.stat()
                    found.append((entry.path, status.st_size, status.st_mtime_ns))
    return sorted(found)


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
        GratisError: the file is missing, truncated or no image.
    """
    _register_formats()
    try:
        with Image.open(path) as image:
            # Cameras store photographs sideways and say so in the EXIF data.
            upright = ImageOps.exif_transpose(image) if "exif" in image.info else image
            return np.asarray(resized(_rgb(upright), size))
    # Pillow's decoders raise whatever they stumble on: OSError, SyntaxError, struct.error, ...
    except Exception as error:
        raise file_error(
            path,
            f"is not a readable image ({_reason(path, error)})",
            "restore it from the original data, or remove it",
        ) from error


def resized(image: Image.Image, size: int) -> Image.Image:
    """Return the centre square of ``image``, scaled to ``size`` pixels, bilinear, antialiased."""
    if image.size == (size, size):
        return image
    side = min(image.size)
    left, top = ((length - side) / 2 for length in image.size)
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    elif image.mode == "F":
        image = image.convert("L")
    elif image.mode == "P":
        # Straight to RGB, Pillow would warn about palettes with transparent entries.
        image = image.convert("RGBA")
    return image.convert("RGB")


def _reason(path: Path, error: Exception) -> str:
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "of no known format"
    return getattr(error, "strerror", None) or str(error)


@cache
def _register_formats() -> None:
    # Pillow registers rarer formats on first need, during which another thread's open can fail.
    Image.init()
