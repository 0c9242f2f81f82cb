import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gratis.data.image_files import find_images
from gratis.data.images import read_image
from gratis.errors import GratisError

RED = (200, 40, 90)


@pytest.mark.parametrize(
    ("mode", "name", "expected"),
    [
        ("RGB", "a.png", RED),
        ("RGBA", "a.png", RED),
        ("L", "a.png", (94, 94, 94)),
        ("LA", "a.png", (94, 94, 94)),
        ("P", "a.png", RED),
        ("P", "a.gif", RED),
        ("CMYK", "a.tif", RED),
        ("1", "a.png", (0, 0, 0)),
        # Pillow 12 cannot read its own TIFF of this mode without a compression.
        ("YCbCr", "a.tif", RED),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, name, expected):
    image = Image.new("RGB", (9, 9), (0, 0, 0) if mode == "1" else RED)
    options = {"compression": "tiff_lzw"} if mode == "YCbCr" else {}
    (image.quantize(2) if mode == "P" else image.convert(mode)).save(tmp_path / name, **options)
    pixels = read_image(tmp_path / name, 8)
    assert pixels.shape == (8, 8, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected).max() <= 2


def test_transparent_pixels_are_white_and_not_the_colour_that_they_hide(tmp_path):
    hidden = Image.new("RGBA", (8, 8), (*RED, 0))
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, *RED])
    for name, image, expected, options in (
        ("rgba.png", hidden, (255, 255, 255), {}),
        ("half.png", half, (127, 127, 127), {}),
        ("grey.png", hidden.convert("LA"), (255, 255, 255), {}),
        ("webp.webp", hidden, (255, 255, 255), {"lossless": True, "exact": True}),
        ("hidden.png", palette, (255, 255, 255), {"transparency": 1}),
        ("kept.png", palette, RED, {"transparency": 0}),
        ("colour.png", hidden.convert("RGB"), (255, 255, 255), {"transparency": RED}),
    ):
        image.save(tmp_path / name, **options)
        assert (read_image(tmp_path / name, 8) == expected).all(), name


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_greys_are_scaled_not_clipped(tmp_path, name):
    deep = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / name)
    expected = np.rint(deep / 257)
    assert np.array_equal(read_image(tmp_path / name, 8)[..., 0], expected)


RAMP = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1, "float32"), (255, "float32"), (255, "int32"), (65535, "int32")]
    + [(2**bits - 1, "uint16") for bits in (8, 10, 12, 14, 16)],
)
def test_deep_greys_reach_from_black_to_white(tmp_path, scale, dtype):
    Image.fromarray((RAMP * scale).astype(dtype)).save(tmp_path / "a.tif")
    pixels = read_image(tmp_path / "a.tif", 8)[..., 0].astype(int)
    assert np.abs(pixels - RAMP * 255).max() <= 1
    assert (pixels.min(), pixels.max()) == (0, 255)


@pytest.mark.parametrize(
    "values",
    [
        (RAMP * 3000).astype("uint16"),
        (RAMP * 200).astype("int32"),
        (RAMP * 70_000).astype("int32"),
        (RAMP * 300 - 9).astype("int32"),
        RAMP * 4095,
        RAMP - 1,
        np.where(RAMP > 0.5, RAMP, np.float32(np.nan)),
    ],
)
def test_greys_whose_white_is_not_known_are_refused_by_name(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(GratisError, match=r"a\.tif: .*greys from .*; say .*data\.white_level=4095"):
        read_image(tmp_path / "a.tif", 8)


def test_white_can_be_given(tmp_path):
    Image.fromarray((RAMP * 3000).astype("uint16")).save(tmp_path / "a.tif")
    expected = np.rint((RAMP * 3000).astype("uint16") * (255 / 4095))
    assert np.array_equal(read_image(tmp_path / "a.tif", 8, white_level=4095)[..., 0], expected)
    Image.fromarray(RAMP * 2).save(tmp_path / "b.tif")
    assert read_image(tmp_path / "b.tif", 8, white_level=1)[-1, -1].tolist() == [255] * 3


def test_a_black_deep_image_is_black(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 8).max() == 0


def test_a_pgm_file_names_its_own_white(tmp_path):
    dark = (RAMP * 1000).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 8 8 4095\n" + dark.tobytes())
    assert np.abs(read_image(tmp_path / "a.pgm", 8)[..., 0] - dark * (255 / 4095)).max() <= 1


def test_almost_black_16_bit_colours_are_refused_by_name(tmp_path):
    def png(scale: int) -> bytes:
        colours = np.repeat((RAMP * scale).astype(">u2")[..., None], 3, axis=2)
        rows = b"".join(b"\0" + row.tobytes() for row in colours)
        chunks = (
            (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in chunks
        )

    (tmp_path / "a.png").write_bytes(png(65535))
    assert read_image(tmp_path / "a.png", 8).max() == 255
    (tmp_path / "b.png").write_bytes(png(4095))
    with pytest.raises(GratisError, match=r"b\.png: .*16-bit colours up to about 3855 of 65535"):
        read_image(tmp_path / "b.png", 8)
    assert read_image(tmp_path / "b.png", 8, white_level=65535).max() == 15


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (40, 40), (5, 7)])
def test_the_shorter_side_is_scaled_and_the_longer_side_cropped(tmp_path, noise, size):
    noise(tmp_path / "a.png", 0, size)
    with Image.open(tmp_path / "a.png") as image:
        scale = 20 / min(size)
        whole = tuple(round(length * scale) for length in size)
        left, top = ((length - 20) // 2 for length in whole)
        scaled = image.resize(whole, Image.Resampling.BILINEAR)
        expected = np.asarray(scaled.crop((left, top, left + 20, top + 20)))
    assert np.abs(read_image(tmp_path / "a.png", 20).astype(int) - expected).max() <= 1


def test_padding_and_squashing_keep_the_whole_image(tmp_path):
    image = Image.new("RGB", (20, 10), RED)
    image.paste((255, 255, 255), (18, 0, 20, 10))
    image.save(tmp_path / "a.png")
    cropped, padded, squashed = (
        read_image(tmp_path / "a.png", 20, mode) for mode in ("crop", "pad", "squash")
    )
    assert (cropped == RED).all()
    assert (padded[:5] == 0).all() and (padded[15:] == 0).all()
    assert (padded[5:15, :16] == RED).all() and (padded[5:15, 19:] == 255).all()
    assert (squashed[:, :16] == RED).all() and (squashed[:, 19:] == 255).all()


def test_a_very_long_image_is_padded(tmp_path):
    Image.new("RGB", (6000, 1), RED).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 32, "pad").any(axis=2).sum() == 32


def test_a_photograph_in_heic_is_named_as_such(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(GratisError, match=r"a\.jpg: .*HEIC, which is not supported.*; convert it"):
        read_image(tmp_path / "a.jpg", 8)


def test_an_image_of_the_right_size_is_left_alone(tmp_path, noise):
    noise(tmp_path / "a.png", 0, (16, 16))
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(read_image(tmp_path / "a.png", 16), np.asarray(image))


def test_a_very_long_image_takes_little_memory(tmp_path):
    Image.new("RGB", (60_000, 1), RED).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", 256) == RED).all()


def test_a_photograph_taken_sideways_is_upright(tmp_path):
    image = Image.new("RGB", (8, 8))
    image.putpixel((0, 0), RED)
    exif = image.getexif()
    exif[0x0112] = 3  # turned by 180 degrees
    image.save(tmp_path / "a.png", exif=exif)
    assert tuple(read_image(tmp_path / "a.png", 8)[7, 7]) == RED


def test_broken_images_are_named_with_a_reason(tmp_path, noise):
    noise(tmp_path / "a.jpg", 0)
    noise(tmp_path / "b.png", 0)
    (tmp_path / "c.gif").write_bytes(b"")
    (tmp_path / "d.jpg").write_text("<html>not found</html>")
    for name in ("a.jpg", "b.png"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    reasons = {
        "a.jpg": "truncated",
        "b.png": "truncated",
        "c.gif": "empty",
        "d.jpg": "no known format",
        "e.png": "No such file",
    }
    for name, reason in reasons.items():
        with pytest.raises(GratisError, match=f"{name}: is not a readable.*{reason}.*; restore it"):
            read_image(tmp_path / name, 8)


def test_images_are_found_at_any_depth_in_a_fixed_order(pets, tmp_path):
    found = [path for path, _, _ in find_images(pets / "train").files]
    names = ["cat/a.png", "cat/deeper/b.jpg", "dog/c.bmp"]
    assert found == [str(pets / "train" / name) for name in names]
    assert find_images(tmp_path / "nowhere").files == []
