"""Grey images of more than 8 bits, and colours of 16 bits: which value is white."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# An image that stays below a quarter of white is dark, or holds fewer bits than its format.
_WHITE = 65535
# An image of whole numbers whose largest value is one of these reaches the white of its depth.
_WHITES = (255, 1023, 4095, 16383)
_DARK = _WHITE // 4
_DARK_BYTE = 63


class UnknownWhiteLevel(ValueError):
    """The image does not say which of its values is white; the message says what it holds."""


def to_8_bit_grey(
    image: Image.Image, white_level: float | None, scaled: bool = False
) -> Image.Image:
    """Return an image of 16-bit, 32-bit or floating-point greys as 8-bit greys.

    Black is 0. White is ``white_level``. By default it is 65,535 for whole numbers, or the largest
    value if that is white at 8, 10, 12 or 14 bits; for floats it is 1 if no value is larger, or
    else 255.

    Args:
        image: of mode I, I;16 or F.
        white_level: the value of white; larger values become white. Default: as above.
        scaled: whether Pillow scaled the values to 16 bits already, as it does for PGM files.

    Raises:
        UnknownWhiteLevel: without ``white_level``, values are negative, not finite, or above the
            default; or the image stays below a quarter of it, as 12-bit greys in a 16-bit file do.
    """
    values = np.asarray(image).astype(np.float64)
    if white_level is None:
        white_level = _default_white(values, image.mode == "F", scaled)
    elif not np.isfinite(values).all():
        raise UnknownWhiteLevel("values that are not finite")
    return Image.fromarray(np.rint(values * 255 / white_level).clip(0, 255).astype(np.uint8))


def _default_white(values: NDArray[Any], floats: bool, scaled: bool) -> float:
    low, high = float(values.min()), float(values.max())
    if not floats and not scaled and low >= 0 and high in _WHITES:
        return high
    known = 255 if floats else _WHITE
    # Also false for NaN.
    within = low >= 0 and high <= known
    dark = not floats and not scaled and 0 < high <= _DARK
    if not within or dark:
        raise UnknownWhiteLevel(f"greys from {low:g} to {high:g}, and white is not known")
    return 1.0 if floats and high <= 1 else known


def has_16_bits(image: Image.Image) -> bool:
    """Return whether an image that is not loaded yet holds 16 bits per channel."""
    return any(";16" in str(tile) for tile in getattr(image, "tile", ()))


def refuse_dark_colours(image: Image.Image, white_level: float | None) -> None:
    """Refuse 16-bit colours that Pillow turned into an almost black 8-bit image.

    Raises:
        UnknownWhiteLevel: no channel reaches a quarter of white, and ``white_level`` is not 65,535.
    """
    brightest = int(np.asarray(image.convert("RGB")).max())
    if 0 < brightest <= _DARK_BYTE and white_level != _WHITE:
        raise UnknownWhiteLevel(f"16-bit colours up to about {brightest * 257} of {_WHITE}")
