"""A large store consists of shards: an interrupted decoding keeps those that are whole."""

import logging
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gratis.data import DataSettings, images, load, shard_files
from gratis.data.sharded_images import ShardedImages, images_at
from gratis.digests import digest
from gratis.errors import GratisError


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Two classes of 160 images: six shards of 64 images, two of them smaller."""
    root = tmp_path_factory.mktemp("photos")
    for name in ("a", "b"):
        (root / name).mkdir()
        for number in range(160):
            pixels = np.random.default_rng(number).integers(0, 256, 48, dtype=np.uint8)
            content = b"P6 4 4 255\n" + pixels.tobytes()
            (root / name / f"{number:03}.ppm").write_bytes(content)
    return root


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(shard_files, "_MOST_IMAGES", 64)


def read(root: Path, **options):
    return load(DataSettings(name="folder", root=root, size=4, val_fraction=0.25, **options))


@pytest.fixture
def decoded(monkeypatch):
    """The paths of the images that are decoded."""
    paths, decode = [], images._decode

    def counted(path, *how):
        paths.append(path)
        return decode(path, *how)

    monkeypatch.setattr(images, "_decode", counted)
    return paths


def test_the_shards_are_the_same_data_set_as_one_file(photos, monkeypatch, tmp_path, cache):
    whole = read(photos)
    monkeypatch.setattr(shard_files, "_MOST_IMAGES", 64)
    monkeypatch.setenv("GRATIS_CACHE", str(tmp_path / "other"))
    shards = read(photos)
    assert shards.fingerprint == whole.fingerprint
    assert isinstance(shards.train.images, ShardedImages)
    assert np.array_equal(shards.train.images, whole.train.images)
    rows = np.array([200, 3, 64, 63, 3])
    assert np.array_equal(shards.train.take(rows).images, whole.train.images[rows])


def test_shards_are_indexed_as_one_array():
    whole = np.random.default_rng(0).integers(0, 256, (10, 2, 3, 3), dtype=np.uint8)
    shards = ShardedImages([whole[:4], whole[4:5], whole[5:]])
    assert (len(shards), shards.shape, shards.nbytes) == (10, whole.shape, whole.nbytes)
    mask = np.arange(10) % 3 == 0
    for index in (0, 4, -1, np.int64(5), slice(2, 7), slice(None, None, -2), slice(0, 0), mask):
        assert np.array_equal(shards[index], whole[index]), index
    rows = np.array([9, 0, 4, 4])
    assert np.array_equal(shards[rows], whole[rows])
    assert np.array_equal(images_at(shards, rows), images_at(whole, rows))
    assert digest([shards]) == digest([whole])
    for index in (10, -11, np.array([10])):
        with pytest.raises(IndexError):
            shards[index]
    with pytest.raises(GratisError, match="differ in type or size"):
        ShardedImages([whole, whole[:, :1]])


KILLED = """
import os, signal, sys
from pathlib import Path
from gratis.data import DataSettings, images, load, shard_files

shard_files._MOST_IMAGES = 64
decode, cache = images._decode, Path(os.environ["GRATIS_CACHE"])

def killed(path, *how):
    if any(cache.glob("decoded/.*/*.json")):
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(path, *how)

images._decode = killed
load(DataSettings(name="folder", root=Path(sys.argv[1]), size=4, val_fraction=0.25))
"""


def test_a_kill_costs_one_shard(photos, small_shards, decoded, cache, tmp_path, monkeypatch):
    killed = subprocess.run([sys.executable, "-c", KILLED, photos], check=False)
    assert killed.returncode == -signal.SIGKILL
    (partial,) = (cache / "decoded").iterdir()
    assert partial.name.startswith(".") and partial.name.endswith(".partial")
    before = len(list(partial.glob("*.json")))
    # Of six. Threads decode further chunks, here of a shard each, before the first is written.
    assert 1 <= before < 6
    found = read(photos)
    assert len(decoded) <= 320 - 16 * before
    (folder,) = (cache / "decoded").iterdir()
    assert not folder.name.startswith(".")
    monkeypatch.setenv("GRATIS_CACHE", str(tmp_path / "other"))
    assert read(photos).fingerprint == found.fingerprint


def test_decoding_goes_on_after_a_broken_image(
    photos, small_shards, decoded, cache, tmp_path, caplog, monkeypatch
):
    broken = sorted((photos / "b").iterdir())[-1]
    content = broken.read_bytes()
    try:
        broken.write_bytes(b"no image")
        caplog.set_level(logging.INFO)
        with pytest.raises(GratisError, match=r"159\.ppm: is not a readable image"):
            read(photos)
        assert "of 320 images; the next call decodes the others" in caplog.text
        (partial,) = (cache / "decoded").iterdir()
        left, decoded[:] = 320 - 64 * len(list(partial.glob("*.json"))), []
        found = read(photos, skip_broken=True)
        assert len(decoded) == left < 320
        assert found.skipped == ("b/159.ppm (of no known format)",)
        assert len(found.train) + len(found.validation) == 319
        # Decoding that left out images cannot be used where they are an error.
        with pytest.raises(GratisError, match=r"159\.ppm: is not a readable image"):
            read(photos)
    finally:
        broken.write_bytes(content)


def test_one_damaged_shard_is_decoded_again(photos, small_shards, decoded, cache, caplog):
    expected = read(photos).fingerprint
    (folder,) = (cache / "decoded").iterdir()
    shard = folder / "train-images-00001.npy"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    decoded.clear()
    assert read(photos).fingerprint == expected
    assert len(decoded) == 64
    assert "is damaged (its content was changed); decoding the images again" in caplog.text
    assert shard.read_bytes() == content


def test_a_shard_may_lie_on_another_disk(photos, small_shards, decoded, cache, tmp_path):
    expected = read(photos)
    (folder,) = (cache / "decoded").iterdir()
    shard = folder / "train-images-00001.npy"
    shard.rename(tmp_path / "moved.npy")
    shard.symlink_to(tmp_path / "moved.npy")
    decoded.clear()
    found = read(photos)
    assert found.fingerprint == expected.fingerprint and not decoded
    assert np.array_equal(found.train.images, expected.train.images)
