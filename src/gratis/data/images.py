"""Decode image files to RGB squares of one size."""

import errno
import logging
import stat
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from gratis.data.bit_depth import UnknownWhiteLevel, has_16_bits, refuse_dark_colours, to_8_bit_grey
from gratis.data.image_files import FORMATS, is_heic
from gratis.data.raw import BrokenImage, EncodedImage, ImageSource, Pixels, RawSplit, Stamp
from gratis.errors import file_error

Resize = Literal["crop", "pad", "squash"]

# Above Pillow's own limit, where it only warns.
_MAX_PIXELS = 89_478_485
_CONVERT = "convert it to JPEG or PNG"
# Errors of the machine and not of the image.
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Preparation(NamedTuple):
    """How an image file becomes what a model sees; the arguments of :func:`read_image`.

    Attributes:
        size: height and width, in pixels.
        resize: how an image that is not square becomes so.
        white_level: the value of white in greys of more than 8 bits; ``None`` is the default.
    """

    size: int
    resize: Resize = "crop"
    white_level: float | None = None

    def read(self, image: ImageSource) -> Pixels:
        """Return an encoded image as :func:`read_image` does."""
        return read_image(image, *self)


def image_split(
    files: Sequence[Stamp], labels: Sequence[int], preparation: Preparation
) -> RawSplit:
    """Return a split whose image i is the file ``files[i]``, as :func:`read_image` reads it."""
    return encoded_split(lambda index: Path(files[index][0]), labels, preparation)


def encoded_split(
    image: Callable[[int], ImageSource], labels: Sequence[int], preparation: Preparation
) -> RawSplit:
    """Return a split whose image i is ``image(i)``, as :func:`read_image` reads it."""
    return RawSplit(
        np.asarray(labels, dtype=np.int64), lambda index: preparation.read(image(index))
    )


def read_image(
    image: ImageSource, size: int, resize: Resize = "crop", white_level: float | None = None
) -> Pixels:
    """Return an encoded image as uint8 RGB of shape (size, size, 3), upright.

    ``image`` is the path of a file, or the content of one.

    Transparent images are drawn on white. Greys of more than 8 bits are scaled to 8 bits
    (:func:`gratis.data.bit_depth.to_8_bit_grey`).

    Raises:
        BrokenImage: the file is missing, truncated, not an image of a known format, has more than
            89 million pixels, or its white is not known.
        GratisError: there is not enough memory.
    """
    _prepare_pillow()
    path = image.path if isinstance(image, EncodedImage) else image
    try:
        return _decode(image, size, resize, white_level)
    except UnknownWhiteLevel as error:
        remedy = (
            "say which value is white, such as data.white_level=4095 for 12 bits, "
            "data.white_level=65535 for dark images of 16 bits or data.white_level=1 for floats, "
            "or convert it to 8 bits"
        )
        raise BrokenImage(path, str(error), remedy) from error
    # Pillow's decoders raise OSError, SyntaxError, struct.error and others.
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) in _SCARCE:
            problem = f"cannot be read now ({_reason(error)})"
            raise file_error(path, problem, "free some memory and run again") from error
        if is_heic(image):
            raise BrokenImage(path, "HEIC, which is not supported", _CONVERT) from error
        raise BrokenImage(path, _reason(error)) from error


def _decode(encoded: ImageSource, size: int, resize: Resize, white_level: float | None) -> Pixels:
    with Image.open(_opened(encoded), formats=FORMATS) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise Image.DecompressionBombError
        deep, scaled = has_16_bits(image), image.format == "PPM"
        image.load()
        upright = _upright(image)
    if upright.mode.startswith(("I", "F")):
        upright = to_8_bit_grey(upright, white_level, scaled)
    elif deep:
        refuse_dark_colours(upright, white_level)
    return np.asarray(resized(_rgb(upright), size, resize))


def _opened(encoded: ImageSource) -> Path | BytesIO:
    """Return what Pillow opens, which is not empty."""
    if isinstance(encoded, EncodedImage):
        length = len(encoded.content)
    else:
        status = encoded.stat()
        # To open a named pipe would block forever.
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a file")
        length = status.st_size
    if length == 0:
        raise OSError("the file is empty")
    return BytesIO(encoded.content) if isinstance(encoded, EncodedImage) else encoded


def resized(image: Image.Image, size: int, resize: Resize = "crop") -> Image.Image:
    """Return ``image`` as a square of ``size`` pixels (bilinear, antialiased).

    ``crop`` scales the shorter side to ``size`` and keeps the centre of the longer one; ``pad``
    scales the longer side and adds black bars; ``squash`` scales both sides and changes the
    proportions.
    """
    if image.size == (size, size):
        return image
    if resize == "pad":
        return _padded(image, size)
    width, height = image.size
    side_x, side_y = (width, height) if resize == "squash" else (min(image.size),) * 2
    left, top = (width - side_x) / 2, (height - side_y) / 2
    box = (left, top, left + side_x, top + side_y)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _padded(image: Image.Image, size: int) -> Image.Image:
    scale = size / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    square = Image.new(image.mode, (size, size))
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    square.paste(scaled, ((size - width) // 2, (size - height) // 2))
    return square


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
    # Otherwise transparent pixels would show the colour that they hide.
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        backdrop = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(backdrop, transparent)
    return image if image.mode == "RGB" else image.convert("RGB")


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
