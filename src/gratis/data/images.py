"""Image files: found below a folder, and decoded to small RGB squares."""

import errno
import logging
import os
import stat
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from gratis.data.raw import BrokenImage, Pixels, RawSplit, Stamp
from gratis.errors import file_error

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# The accepted formats, recognised by content and not by suffix. Pillow's other formats are left
# out, because it starts another program to read one of them.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# Above Pillow's own limit, where it only warns.
_MAX_PIXELS = 89_478_485
# Errors of the machine and not of the image.
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def find_images(folder: Path) -> list[Stamp]:
    """Return every image file in ``folder`` and below, sorted by path; none if it is missing.

    Hidden files and other kinds of files are left out. Links are followed; a folder that several
    links lead to, or that contains itself, is searched once.
    """
    found: list[Stamp] = []
    seen: set[tuple[int, int]] = set()
    walk = os.walk(folder, onerror=_raise, followlinks=True) if folder.is_dir() else ()
    for here, folders, names in walk:
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        # Sorted, so that of several links to a folder the same one is followed on every system.
        folders[:] = sorted((name for name in folders if not name.startswith(".")), reverse=True)
        images = (name for name in names if name.lower().endswith(_SUFFIXES))
        found += [_stamp(os.path.join(here, name)) for name in images if not name.startswith(".")]
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)
    except OSError:
        # A dangling link is reported when it is read.
        return path, 0, 0
    return path, status.st_size, status.st_mtime_ns


def labelled_images(folders: Sequence[Path], remedy: str) -> tuple[list[Stamp], list[int]]:
    """Return the image files in all ``folders``, each with the index of its folder as its label.

    Raises:
        GratisError: a folder holds no images; the message ends with ``remedy``.
    """
    files: list[Stamp] = []
    labels: list[int] = []
    for label, folder in enumerate(folders):
        found = find_images(folder)
        if not found:
            raise file_error(folder, "holds no images", remedy)
        files += found
        labels += [label] * len(found)
    return files, labels


def image_split(files: Sequence[Stamp], labels: Sequence[int], size: int) -> RawSplit:
    """Return a split whose image i is the file ``files[i]``, resized to ``size``."""
    return RawSplit(
        np.asarray(labels, dtype=np.int64),
        lambda index: read_image(Path(files[index][0]), size),
    )


def read_image(path: Path, size: int) -> Pixels:
    """Return an image file as uint8 RGB of shape (size, size, 3), upright.

    The shorter side is scaled to ``size`` (bilinear, antialiased), and the longer side is cropped
    to the centre. Transparency is ignored; 16-bit greys are scaled to 8 bits.

    Raises:
        BrokenImage: the file is missing, truncated, not an image of a known format, or has more
            than 89 million pixels.
        GratisError: there is not enough memory.
    """
    _prepare_pillow()
    try:
        return _decode(path, size)
    # Pillow's decoders raise OSError, SyntaxError, struct.error and others.
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) in _SCARCE:
            problem = f"cannot be read now ({_reason(error)})"
            raise file_error(path, problem, "free some memory and run again") from error
        raise BrokenImage(path, _reason(error)) from error


def _decode(path: Path, size: int) -> Pixels:
    status = path.stat()
    # To open a named pipe would block forever.
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a file")
    if status.st_size == 0:
        raise OSError("the file is empty")
    with Image.open(path, formats=_FORMATS) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise Image.DecompressionBombError
        image.load()
        return np.asarray(resized(_rgb(_upright(image)), size))


def resized(image: Image.Image, size: int) -> Image.Image:
    """Return the centre square of ``image``, scaled to ``size`` pixels (bilinear, antialiased)."""
    if image.size == (size, size):
        return image
    side = min(image.size)
    left, top = ((length - side) / 2 for length in image.size)
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _upright(image: Image.Image) -> Image.Image:
    """Return a loaded image turned by its EXIF orientation: cameras store photos sideways."""
    try:
        # Avoids the copy that Pillow makes of an upright image.
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image
        return ImageOps.exif_transpose(image)
    # Many good photographs have damaged EXIF data.
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
        # A direct conversion to RGB warns of palettes with transparent entries.
        image = image.convert("RGBA")
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {_MAX_PIXELS} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "of no known format"
    if isinstance(error, MemoryError):
        return "out of memory"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@cache
def _prepare_pillow() -> None:
    # Without a handler, Python prints what Pillow logs of a broken file to the terminal.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    # Otherwise Pillow registers rarer formats on first use, and meanwhile an open in another
    # thread can fail.
    Image.init()
