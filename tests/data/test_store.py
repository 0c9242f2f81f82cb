import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gratis.data import DataSettings, images, load
from gratis.data.images import read_image
from gratis.data.store import fingerprint
from gratis.errors import GratisError


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(images, "read_image", fail)


@pytest.fixture
def settings(pets: Path) -> DataSettings:
    return DataSettings(name="folder", root=pets, size=16)


def test_the_store_holds_the_images_that_pillow_decodes(settings, pets):
    dataset = load(settings)
    for split, part in ((dataset.train, "train"), (dataset.validation, "val")):
        files = ["cat/a.png", "cat/deeper/b.jpg", "dog/c.bmp"]
        for image, name in zip(split.images, files, strict=True):
            assert np.array_equal(image, read_image(pets / part / name, 16))
        assert split.labels.tolist() == [0, 0, 1]
        assert split.labels.dtype == np.int64
        assert isinstance(split.images, np.memmap)
    assert (dataset.name, dataset.classes, dataset.size) == ("folder", ("cat", "dog"), 16)
    assert dataset.flippable
    assert dataset.fingerprint == fingerprint(dataset.train, dataset.validation)


def test_many_images_stay_in_order(tmp_path, noise):
    for part, count in (("train", 150), ("val", 1)):
        for name in ("a", "b"):
            for number in range(count):
                noise(tmp_path / part / name / f"{number:03}.png", number, (4, 4))
    dataset = load(DataSettings(name="folder", root=tmp_path, size=4))
    for row, image in enumerate(dataset.train.images):
        name, number = "ab"[row // 150], row % 150
        assert np.array_equal(image, read_image(tmp_path / f"train/{name}/{number:03}.png", 4))


def test_the_second_load_decodes_nothing(settings, monkeypatch, pets):
    first = load(settings)
    forbid_decoding(monkeypatch)
    second = load(settings)
    assert second.fingerprint == first.fingerprint
    assert np.array_equal(second.train.images, first.train.images)
    monkeypatch.chdir(pets.parent)
    assert load(settings.model_copy(update={"root": Path("pets")})).classes == ("cat", "dog")


def test_a_changed_file_or_size_is_decoded_again(settings, pets, noise):
    first = load(settings)
    assert load(settings.model_copy(update={"size": 8})).size == 8
    noise(pets / "train" / "dog" / "c.bmp", 99, (8, 8))
    os.utime(pets / "train" / "dog" / "c.bmp", ns=(1, 1))
    changed = load(settings)
    assert changed.fingerprint != first.fingerprint
    assert np.array_equal(changed.train.images[0], first.train.images[0])
    assert not np.array_equal(changed.train.images[2], first.train.images[2])


def test_the_fingerprint_depends_on_pixels_and_labels_but_not_on_paths(settings, pets, tmp_path):
    first = load(settings)
    pets.rename(tmp_path / "moved")
    moved = load(settings.model_copy(update={"root": tmp_path / "moved"}))
    assert moved.fingerprint == first.fingerprint
    (tmp_path / "moved/train/cat/a.png").rename(tmp_path / "moved/train/dog/z.png")
    relabelled = load(settings.model_copy(update={"root": tmp_path / "moved"}))
    assert relabelled.fingerprint != first.fingerprint


@pytest.mark.parametrize("error", [KeyboardInterrupt, GratisError])
def test_an_interrupted_decoding_leaves_nothing(settings, monkeypatch, cache, error):
    def interrupt(path: Path, size: int, *handling: object) -> None:
        raise error("now")

    monkeypatch.setattr(images, "read_image", interrupt)
    with pytest.raises(error):
        load(settings)
    assert list((cache / "decoded").iterdir()) == []


KILLED = """
import sys, time
from pathlib import Path
from gratis.data import DataSettings, images, load

heavy = [name for name in ("torchvision", "sklearn", "timm") if name in sys.modules]

def stall(path, size, *handling):
    sys.stdout.write(f"decoding {heavy}\\n")
    sys.stdout.flush()
    time.sleep(60)

images.read_image = stall
load(DataSettings(name="folder", root=Path(sys.argv[1]), size=16))
"""


def test_a_killed_decoding_is_not_used_and_is_removed_later(settings, pets, cache):
    command = [sys.executable, "-c", KILLED, str(pets)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        # The import stays fast: none of the slow libraries is loaded.
        assert process.stdout.readline() == "decoding []\n"
        process.send_signal(signal.SIGKILL)
    assert any(path.name.endswith(".partial") for path in (cache / "decoded").iterdir())
    assert len(load(settings).train) == 3
    (whole,) = (cache / "decoded").iterdir()
    assert not whole.name.startswith(".")


def test_a_broken_image_is_named_and_leaves_nothing(settings, pets, cache):
    (pets / "val" / "dog" / "broken.png").write_bytes(b"")
    with pytest.raises(
        GratisError, match=r"broken\.png: is not a readable image \(the file is emp"
    ):
        load(settings)
    assert list((cache / "decoded").iterdir()) == []


def test_a_cache_that_cannot_be_written_names_the_variable(settings, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GRATIS_CACHE", str(tmp_path / "file"))
    with pytest.raises(GratisError, match=r"cannot be written .* set .* GRATIS_CACHE"):
        load(settings)
