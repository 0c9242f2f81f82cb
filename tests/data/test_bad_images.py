"""Unusual image files are read correctly; broken ones are refused in one clear line."""

import errno
import logging
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from gratis.data import DataSettings, image_files, load
from gratis.data.image_files import find_images
from gratis.data.images import read_image
from gratis.errors import GratisError

RED = (200, 40, 90)
CAREFUL = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}


def png(width: int, height: int, depth: int, kind: int, rows: bytes) -> bytes:
    """Return a PNG written by hand, since Pillow writes no 16-bit colours and no bombs."""

    def chunk(name: bytes, content: bytes) -> bytes:
        summed = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + summed

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def quarters(path: Path) -> list[int]:
    """Return the red value in the middle of each quarter, row by row."""
    pixels = read_image(path, 8)
    return [int(pixels[y, x, 0]) for y in (1, 6) for x in (1, 6)]


def test_a_cmyk_photograph_keeps_its_colours(tmp_path):
    Image.new("RGB", (8, 8), RED).convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    assert np.abs(read_image(tmp_path / "a.jpg", 8).astype(int) - RED).max() <= 2


@pytest.mark.parametrize(("kind", "channels"), [(2, RED), (6, (*RED, 255)), (4, (200, 255))])
def test_16_bit_colours_are_scaled_not_cut(tmp_path, kind, channels):
    row = b"\0" + np.array([257 * value for value in channels] * 8, dtype=">u2").tobytes()
    (tmp_path / "a.png").write_bytes(png(8, 8, 16, kind, row * 8))
    expected = RED if len(channels) > 2 else (200, 200, 200)
    assert (read_image(tmp_path / "a.png", 8) == expected).all()


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "tif"])
def test_the_first_frame_of_an_animation_is_read(tmp_path, kind):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in (RED, (0, 255, 0)))
    path = tmp_path / f"a.{kind}"
    first.save(path, save_all=True, append_images=[second], **CAREFUL.get(kind, {}))
    assert (read_image(path, 8) == RED).all()


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize(("orientation", "quarter"), [(1, 0), (2, 1), (3, 3), (6, 1), (8, 2)])
def test_a_photograph_is_turned_by_its_exif_orientation(tmp_path, kind, orientation, quarter):
    image = Image.new("RGB", (8, 8))
    image.paste((255, 255, 255), (0, 0, 4, 4))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"a.{kind}", exif=exif, **CAREFUL.get(kind, {}))
    expected = [255 if number == quarter else 0 for number in range(4)]
    assert np.allclose(quarters(tmp_path / f"a.{kind}"), expected, atol=3)


@pytest.mark.parametrize("exif", [b"MM\0*\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x01", b"none", b""])
def test_a_photograph_with_damaged_exif_data_is_read(pets, exif, recwarn):
    image = Image.new("RGB", (8, 8), RED)
    image.save(pets / "train" / "dog" / "c.jpg", quality=100, exif=b"Exif\0\0" + exif)
    warnings.simplefilter("always")
    dataset = load(DataSettings(name="folder", root=pets, size=8))
    assert np.abs(dataset.train.images[3].astype(int) - RED).max() <= 2
    assert [str(warning.message) for warning in recwarn] == []


def test_the_suffix_does_not_matter(tmp_path, noise):
    noise(tmp_path / "a.png", 0, (16, 16))
    expected = read_image(tmp_path / "a.png", 16)
    (tmp_path / "a.png").rename(tmp_path / "a.JPEG")
    assert np.array_equal(read_image(tmp_path / "a.JPEG", 16), expected)


@pytest.mark.parametrize(("width", "height"), [(10_000, 9_000), (50_000, 50_000), (2**31 - 1, 2)])
def test_a_bomb_is_refused_without_a_warning(pets, recwarn, width, height):
    (pets / "train" / "dog" / "c.png").write_bytes(png(width, height, 8, 2, bytes(10_000)))
    warnings.simplefilter("always")
    with pytest.raises(GratisError, match=r"c\.png: is not .*\(more than 89478485 pixels\)"):
        load(DataSettings(name="folder", root=pets, size=8))
    assert [str(warning.message) for warning in recwarn] == []


def test_a_text_chunk_that_expands_is_refused(tmp_path):
    information = PngImagePlugin.PngInfo()
    information.add_text("x", "a" * 10_000_000, zip=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=information)
    with pytest.raises(GratisError, match=r"a\.png: is not .*\(Decompressed data too large"):
        read_image(tmp_path / "a.png", 8)


def test_messages_of_pillow_do_not_reach_the_terminal(tmp_path, noise, monkeypatch, capsys):
    noise(tmp_path / "a.tif", 0)
    samples = bytes.fromhex("15010300010000000300")
    content = (tmp_path / "a.tif").read_bytes()
    assert content.count(samples) == 1
    (tmp_path / "a.tif").write_bytes(content.replace(samples, samples[:-2] + b"\x63\0"))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with pytest.raises(GratisError, match=r"a\.tif: is not a readable image"):
        read_image(tmp_path / "a.tif", 8)
    assert capsys.readouterr().err == ""


def test_no_other_program_is_started_to_read_an_image(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8), RED).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.JPEG")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_: pytest.fail("started"))
    with pytest.raises(GratisError, match=r"a\.JPEG: is not .*\(of no known format\)"):
        read_image(tmp_path / "a.JPEG", 8)


def odd(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "broken link":
        path.symlink_to("nowhere")
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "text":
        path.write_text("<html>404</html>")
    elif kind == "empty":
        path.touch()
    else:
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))


ODD = {
    "pipe": "not a file",
    "broken link": "No such file or directory",
    "link to itself": "Too many levels of symbolic links",
    "text": "of no known format",
    "empty": "the file is empty",
    "damaged": "of no known format",
}


@pytest.mark.parametrize(("kind", "reason"), ODD.items())
@pytest.mark.parametrize("part", ["train", "val"])
def test_a_file_that_is_not_an_image_is_one_clear_line(pets, part, kind, reason):
    odd(pets / part / "dog" / "x.JPEG", kind)
    with pytest.raises(GratisError) as caught:
        load(DataSettings(name="folder", root=pets))
    assert str(caught.value) == (
        f"{pets / part / 'dog' / 'x.JPEG'}: is not a readable image ({reason}); restore it from "
        "the original data, remove it, or leave out broken images with --skip-broken-images"
    )


def test_an_unreadable_image_is_named(pets, monkeypatch):
    def deny(path: Path, formats: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(Image, "open", deny)
    with pytest.raises(GratisError, match=r"a\.png: is not a .* \(Permission denied\); restore"):
        load(DataSettings(name="folder", root=pets))


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(errno.EMFILE, os.strerror(errno.EMFILE), "x")]
)
def test_a_lack_of_resources_is_not_reported_as_a_broken_image(pets, monkeypatch, error):
    def fail(path: Path, formats: object) -> None:
        raise error

    monkeypatch.setattr(Image, "open", fail)
    for skip in (False, True):
        with pytest.raises(GratisError, match=r"a\.png: cannot be read now \(.*\); free some mem"):
            load(DataSettings(name="folder", root=pets, skip_broken=skip))


def test_a_folder_named_like_an_image_is_a_folder(pets, noise):
    noise(pets / "train" / "dog" / "x.JPEG" / "y.png", 5, (8, 8))
    assert len(load(DataSettings(name="folder", root=pets, size=8)).train) == 4


def test_folders_that_contain_themselves_are_read_once(pets, noise):
    folder = pets / "train" / "cat"
    once = find_images(folder).files
    (folder / "deeper" / "up").symlink_to("..")
    (folder / "here").symlink_to(".")
    (folder / "a-second-way").symlink_to("deeper")
    (folder / "loop").symlink_to("loop")
    (folder / "nowhere").symlink_to("nothing")
    assert {os.path.realpath(path) for path, _, _ in find_images(folder).files} == {
        path for path, _, _ in once
    }
    assert len(find_images(folder).files) == len(once)
    # Links to folders outside are followed.
    noise(pets.parent / "outside" / "e.png", 1, (8, 8))
    (folder / "linked").symlink_to(pets.parent / "outside")
    assert str(folder / "linked" / "e.png") in [path for path, _, _ in find_images(folder).files]


def test_the_order_does_not_depend_on_the_file_system(pets, monkeypatch):
    folder = pets / "train" / "cat"
    for name in ("x", "y", "z"):
        (folder / name).symlink_to("deeper")
    expected, scandir = find_images(folder), os.scandir

    class Backwards:
        def __init__(self, path: str) -> None:
            self.entries = iter(sorted(scandir(path), key=lambda entry: entry.name, reverse=True))

        def __enter__(self):
            return self

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.entries)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(image_files.os, "scandir", Backwards)
    assert find_images(folder) == expected
