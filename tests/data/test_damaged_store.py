"""A store that changed on disk is detected and decoded again."""

import json
import os
import pickle
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gratis.data import DataSettings, images, load, store
from gratis.data import cache as cache_module
from gratis.errors import GratisError


@pytest.fixture
def settings(pets: Path) -> DataSettings:
    return DataSettings(name="folder", root=pets, size=16)


@pytest.fixture
def made(settings, cache):
    """The folder of a store, and its fingerprint."""
    fingerprint = load(settings).fingerprint
    (folder,) = (cache / "decoded").iterdir()
    return folder, fingerprint


def relabel(path: Path, value: int) -> None:
    labels = np.load(path)
    labels[0] = value
    np.save(path, labels)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


class Canary:
    def __reduce__(self):
        return (os.mkdir, ("canary",))


DAMAGE = {
    "about cut": lambda folder: os.truncate(folder / "dataset.json", 40),
    "about gone": lambda folder: (folder / "dataset.json").unlink(),
    "about a list": lambda folder: (folder / "dataset.json").write_text("[]"),
    "about too deep": lambda folder: (folder / "dataset.json").write_text("[" * 100_000),
    "other classes": lambda folder: edit(folder / "dataset.json", classes=["a", "b"]),
    "other fingerprint": lambda folder: edit(folder / "dataset.json", fingerprint="0" * 32),
    "skipped a number": lambda folder: edit(folder / "dataset.json", skipped=3),
    "images cut": lambda folder: os.truncate(folder / "train-images.npy", 1000),
    "images gone": lambda folder: (folder / "train-images.npy").unlink(),
    "images empty": lambda folder: os.truncate(folder / "validation-images.npy", 0),
    "a pixel": lambda folder: flip(folder / "train-images.npy", -1),
    "a pixel to validate": lambda folder: flip(folder / "validation-images.npy", 200),
    "the header": lambda folder: flip(folder / "train-images.npy", 60),
    "a folder": lambda folder: (
        (folder / "train-labels.npy").unlink(),
        (folder / "train-labels.npy").mkdir(),
    ),
    "labels cut": lambda folder: os.truncate(folder / "train-labels.npy", 140),
    "a label": lambda folder: relabel(folder / "train-labels.npy", 1),
    "a label too large": lambda folder: relabel(folder / "train-labels.npy", 2),
    "a negative label": lambda folder: relabel(folder / "validation-labels.npy", -1),
    "too few labels": lambda folder: np.save(folder / "train-labels.npy", np.array([0, 1])),
    "no labels": lambda folder: np.save(folder / "train-labels.npy", np.empty(0, dtype=np.int64)),
    "labels of floats": lambda folder: np.save(folder / "train-labels.npy", np.zeros(3)),
    "pickled labels": lambda folder: np.save(
        folder / "train-labels.npy", np.array([Canary()] * 3), allow_pickle=True
    ),
    "a pickle": lambda folder: (folder / "train-labels.npy").write_bytes(pickle.dumps(Canary())),
    "a huge shape": lambda folder: (folder / "train-labels.npy").write_bytes(
        (folder / "train-labels.npy").read_bytes().replace(b"(3,)", b"(3" + b"0" * 18 + b",)")
    ),
    "other sizes": lambda folder: np.save(
        folder / "train-images.npy", np.zeros((3, 8, 8, 3), dtype=np.uint8)
    ),
    "an empty folder": lambda folder: (shutil.rmtree(folder), folder.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_logged_in_one_line_and_repaired(
    settings, made, damage, messages, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder, fingerprint = made
    damage(folder)
    again = load(settings)
    assert again.fingerprint == fingerprint
    assert store.fingerprint(again.train, again.validation) == fingerprint
    (message,) = messages()
    assert message.startswith(f"{folder}: is damaged (")
    assert message.endswith("); decoding the images again")
    assert "\n" not in message
    assert not (tmp_path / "canary").exists()
    assert list(folder.parent.iterdir()) == [folder]
    load(settings)
    assert messages() == []


def test_a_damaged_store_with_broken_originals_is_one_clear_line(settings, made, pets):
    folder, _ = made
    status = (pets / "train" / "dog" / "c.bmp").stat()
    (pets / "train" / "dog" / "c.bmp").write_bytes(bytes(status.st_size))
    os.utime(pets / "train" / "dog" / "c.bmp", ns=(status.st_mtime_ns, status.st_mtime_ns))
    load(settings)  # the originals of decoded images are not read
    flip(folder / "train-images.npy", -1)
    with pytest.raises(GratisError, match=r"c\.bmp: is not a readable image"):
        load(settings)


def test_a_missing_file_is_named(settings, made, messages):
    folder, _ = made
    (folder / "train-labels.npy").unlink()
    load(settings)
    assert messages() == [
        f"{folder}: is damaged (train-labels.npy: No such file or directory); "
        "decoding the images again"
    ]


def test_a_large_store_is_hashed_on_request(settings, made, monkeypatch, messages):
    folder, fingerprint = made
    monkeypatch.setattr(store, "_VERIFIED_WHEN_OPENED", 100)
    flip(folder / "train-images.npy", -1)
    changed = load(settings)
    assert store.fingerprint(changed.train, changed.validation) != fingerprint
    assert messages() == []
    repaired = load(settings, check=True)
    assert store.fingerprint(repaired.train, repaired.validation) == fingerprint
    assert messages() == [
        f"{folder}: is damaged (its content was changed); decoding the images again"
    ]
    load(settings, check=True)
    assert messages() == []


def test_an_unreadable_store_is_kept(settings, made, monkeypatch):
    folder, _ = made

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(folder / "train-images.npy"))

    monkeypatch.setattr(np, "load", deny)
    with pytest.raises(GratisError, match=r"images\.npy: cannot be read \(Permission denied\)"):
        load(settings)
    assert len(list(folder.iterdir())) == 7


def test_a_read_only_cache_serves_an_intact_store_and_names_a_damaged_one(
    settings, made, monkeypatch
):
    folder, fingerprint = made

    def deny(path: object, *_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", str(path))

    for name in ("mkdir", "rmdir", "unlink", "rename"):
        monkeypatch.setattr(os, name, deny)
    assert load(settings).fingerprint == fingerprint
    flip(folder / "train-images.npy", -1)
    with pytest.raises(GratisError, match=r"cannot be written \(Read-only .*\); set .*CACHE"):
        load(settings)


def test_of_two_processes_one_decodes_and_the_other_waits(settings, cache, monkeypatch, messages):
    decode, decoded = images._decode, []
    waiting = threading.Event()

    def counted(path: Path, size: int, *handling: object) -> np.ndarray:
        waiting.wait(10)
        decoded.append(path)
        return decode(path, size, *handling)

    monkeypatch.setattr(images, "_decode", counted)
    monkeypatch.setattr(
        cache_module.logger, "info", lambda line: (logged.append(line), waiting.set())
    )
    logged: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(load, settings) for _ in range(2)]
        fingerprints = {future.result().fingerprint for future in both}
    assert len(fingerprints) == 1
    assert len(decoded) == 6
    (folder,) = (cache / "decoded").iterdir()
    assert logged == [f"waiting for another process that prepares {folder.name}"]


def test_without_locks_the_images_are_decoded_too(settings, cache):
    cache.mkdir()
    (cache / "locks").touch()
    assert len(load(settings).train) == 3
