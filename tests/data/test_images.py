import numpy as np
import pytest
from PIL import Image

from gratis.data.images import find_images, read_image
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
        ("YCbCr", "a.tif", RED),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, name, expected):
    image = Image.new("RGB", (9, 9), (0, 0, 0) if mode == "1" else RED)
    (image.quantize(2) if mode == "P" else image.convert(mode)).save(tmp_path / name)
    pixels = read_image(tmp_path / name, 8)
    assert pixels.shape == (8, 8, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected).max() <= 2


def test_a_palette_with_transparent_entries_keeps_its_colours(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, *RED])
    image.save(tmp_path / "a.png", transparency=bytes([0, 128]))
    assert (read_image(tmp_path / "a.png", 8) == RED).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_greys_are_scaled_not_clipped(tmp_path, name):
    deep = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / name)
    expected = np.rint(deep / 257)
    assert np.array_equal(read_image(tmp_path / name, 8)[..., 0], expected)


def test_32_bit_and_floating_point_greys(tmp_path):
    Image.fromarray(np.full((8, 8), 70_000, dtype=np.int32)).save(tmp_path / "a.tif")
    Image.fromarray(np.full((8, 8), 77.0, dtype=np.float32)).save(tmp_path / "b.tif")
    assert (read_image(tmp_path / "a.tif", 8) == 255).all()
    assert (read_image(tmp_path / "b.tif", 8) == 77).all()


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
    found = [path for path, _, _ in find_images(pets / "train")]
    names = ["cat/a.png", "cat/deeper/b.jpg", "dog/c.bmp"]
    assert found == [str(pets / "train" / name) for name in names]
    assert find_images(tmp_path / "nowhere") == []
