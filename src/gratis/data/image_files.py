"""The image files below a folder, and a count of the other files there."""

import os
import stat
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image, features

from gratis.data.raw import EncodedImage, ImageSource, Stamp
from gratis.errors import file_error, printable

# The accepted formats, recognised by content and not by suffix. Pillow's other formats are left
# out, because it starts another program to read one of them.
FORMATS: tuple[str, ...] = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES: tuple[str, ...] = (
    *(".bmp", ".dib", ".gif", ".jfif", ".jif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"),
    *(".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
if features.check("avif"):
    FORMATS, SUFFIXES = (*FORMATS, "AVIF"), (*SUFFIXES, ".avif")
_HEIC = (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1")
_STARTS = (b"BM", b"GIF8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")
_NO_SUFFIX = "without an ending"
# Images that people have and Pillow does not read as it is.
_IMAGES: tuple[str, ...] = (
    *(".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".svg", ".psd", ".ico", ".tga"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"),
)
# From how many images the sizes are read.
SAMPLED = 200


class FoundImages(NamedTuple):
    """What a folder holds.

    Attributes:
        files: the image files, sorted by path.
        left_out: the number of other files, by their ending.
    """

    files: list[Stamp]
    left_out: Counter[str]


def find_images(folder: Path) -> FoundImages:
    """Return every image file in ``folder`` and below; none if the folder is missing.

    A file without an ending is an image if its content is. Hidden files are ignored. Links are
    followed; a folder that several links lead to, or that contains itself, is searched once.
    """
    found = FoundImages([], Counter())
    seen: set[tuple[int, int]] = set()
    waiting = [str(folder)] if folder.is_dir() else []
    while waiting:
        here = waiting.pop()
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        # Sorted, so that of several links to a folder the same one is followed on every system.
        waiting += sorted(_sort_in(here, found))
    found.files.sort()
    return found


def _sort_in(folder: str, found: FoundImages) -> list[str]:
    """Add the files in a folder to ``found``, and return its folders; hidden ones are ignored."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                folders.append(entry.path)
                continue
            suffix = os.path.splitext(entry.name)[1].lower()
            if suffix in SUFFIXES or (not suffix and _is_image(entry.path)):
                found.files.append(stamp_image(entry))
            else:
                found.left_out[printable(suffix) or _NO_SUFFIX] += 1
    return folders


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # Of a link that leads to itself.
    with suppress(OSError):
        return entry.is_dir()
    return False


def stamp_image(file: str | os.DirEntry[str]) -> Stamp:
    """Return a file's path, size and modification time; zeros if it is missing."""
    path = os.fspath(file)
    try:
        status = os.stat(path) if isinstance(file, str) else file.stat()
    except OSError:
        # A dangling link is reported when it is read.
        return path, 0, 0
    return path, status.st_size, status.st_mtime_ns


def _start(path: str) -> bytes:
    """Return the first bytes of a regular file, and none of anything else."""
    with suppress(OSError):
        # To open a named pipe would block forever.
        if stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "rb") as stream:
                return stream.read(16)
    return b""


def _is_image(path: str) -> bool:
    start = _start(path)
    webp, avif = start[:4] + start[8:12] == b"RIFFWEBP", start[4:12] == b"ftypavif"
    return webp or (avif and "AVIF" in FORMATS) or start.startswith(_STARTS)


def is_heic(image: ImageSource) -> bool:
    """Return whether the content of a file is a HEIC photograph, whatever its ending."""
    start = image.content[:16] if isinstance(image, EncodedImage) else _start(str(image))
    return start[4:8] == b"ftyp" and start[8:12] in _HEIC


def describe_left_out(left_out: Counter[str]) -> str:
    """Return the kinds of files left out in words, with a remedy for images; empty if none are."""
    kinds = [f"{count} {kind}" for kind, count in left_out.most_common()]
    remedy = "; convert them to JPEG or PNG to use them" if has_images(left_out) else ""
    return ", ".join(kinds) + remedy


def has_images(left_out: Counter[str]) -> bool:
    """Return whether files of unsupported image formats are left out."""
    return any(kind in _IMAGES for kind in left_out)


def labelled_images(folders: Sequence[Path], remedy: str) -> tuple[list[Stamp], list[int]]:
    """Return the image files in all ``folders``, each with the index of its folder as its label."""
    files: list[Stamp] = []
    labels: list[int] = []
    for label, folder in enumerate(folders):
        found = require_images(folder, remedy).files
        files += found
        labels += [label] * len(found)
    return files, labels


def require_images(folder: Path, remedy: str) -> FoundImages:
    """Return what :func:`find_images` does."""
    found = find_images(folder)
    if found.files:
        return found
    if has_images(found.left_out):
        problem = f"holds no supported images, but {describe_left_out(found.left_out)}"
        raise file_error(folder, problem)
    raise file_error(folder, "holds no images", remedy)


def sample_sizes(count: int, image: Callable[[int], ImageSource]) -> list[tuple[int, int]]:
    """Return width and height of up to 200 of ``count`` images; unreadable ones are skipped.

    They are evenly spaced; ``image(i)`` is the image i.
    """
    sizes = []
    with warnings.catch_warnings():
        # Pillow warns of images that are refused when they are decoded.
        warnings.simplefilter("ignore")
        for index in range(0, count, max(1, -(-count // SAMPLED))):
            with suppress(Exception):
                sizes.append(_size(image(index)))
    return sizes


def _size(encoded: ImageSource) -> tuple[int, int]:
    if isinstance(encoded, Path) and not encoded.is_file():
        raise OSError("not a file")
    opened = encoded if isinstance(encoded, Path) else BytesIO(encoded.content)
    with Image.open(opened, formats=FORMATS) as image:
        return image.size
