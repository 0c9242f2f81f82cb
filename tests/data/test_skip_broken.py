"""Broken images can be left out; they are logged and listed."""

import json

import numpy as np
import pytest

from gratis.data import DataSettings, decoding, load
from gratis.data.store import fingerprint
from gratis.errors import GratisError


@pytest.fixture(params=[10**6, 1], ids=["threads", "processes"])
def damaged(pets, noise, request, monkeypatch):
    """A folder of pets with a broken image in each class and split."""
    monkeypatch.setattr(decoding, "_MANY", request.param)
    for part in ("train", "val"):
        for number in range(100):
            noise(pets / part / "dog" / f"{number:03}.png", number, (8, 8))
        (pets / part / "cat" / "broken.png").write_bytes(b"")
        (pets / part / "dog" / "050.png").write_text("no image")
    return pets


def read(root, **options):
    return load(DataSettings(name="folder", root=root, size=8, **options))


def test_without_the_flag_broken_images_are_refused_and_the_flag_is_named(damaged, cache):
    with pytest.raises(GratisError, match=r"train/cat/broken\.png: .* --skip-broken-images$"):
        read(damaged)
    (damaged / "train" / "cat" / "broken.png").unlink()
    (damaged / "train" / "dog" / "050.png").unlink()
    with pytest.raises(GratisError, match=r"val/cat/broken\.png: .* --skip-broken-images$"):
        read(damaged)
    assert list((cache / "decoded").iterdir()) == []


def test_the_data_set_equals_one_without_the_broken_images(damaged):
    skipping = read(damaged, skip_broken=True)
    assert skipping.skipped == (
        "train/cat/broken.png (the file is empty)",
        "train/dog/050.png (of no known format)",
        "val/cat/broken.png (the file is empty)",
        "val/dog/050.png (of no known format)",
    )
    for part in ("train", "val"):
        (damaged / part / "cat" / "broken.png").unlink()
        (damaged / part / "dog" / "050.png").unlink()
    whole = read(damaged)
    assert whole.skipped == ()
    assert skipping.fingerprint == whole.fingerprint
    assert skipping.fingerprint == fingerprint(skipping.train, skipping.validation)
    assert len(skipping.train) == 102
    assert np.array_equal(skipping.train.images, whole.train.images)
    assert np.array_equal(skipping.train.labels, whole.train.labels)


def test_they_are_logged_each_time_the_data_is_opened(damaged, messages, cache):
    for _ in range(2):
        read(damaged, skip_broken=True)
        (message,) = messages()
        assert message.startswith(f"{damaged}: left out 4 broken images: train/cat/broken.png (th")
        assert message.endswith("val/cat/broken.png (the file is empty), and 1 more")
        assert "\n" not in message
    (about,) = (cache / "decoded").glob("*/dataset.json")
    assert len(json.loads(about.read_text())["skipped"]) == 4


def test_the_flag_is_part_of_the_key_of_the_store(damaged):
    read(damaged, skip_broken=True)
    with pytest.raises(GratisError, match="broken"):
        read(damaged)


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_class_without_remaining_images_is_refused(damaged, part, cache):
    for path in (damaged / part / "cat").rglob("*.*"):
        path.write_bytes(b"")
    with pytest.raises(GratisError) as caught:
        read(damaged, skip_broken=True)
    assert str(caught.value) == (
        f"{damaged}: all images of class 'cat' are broken: {part}/cat/a.png (the file is empty), "
        f"{part}/cat/broken.png (the file is empty), {part}/cat/deeper/b.jpg (the file is empty); "
        "restore some, or remove the class"
    )
    assert list((cache / "decoded").iterdir()) == []


def test_tiny_imagenet_too(tiny, messages):
    (tiny / "train" / "n01" / "images" / "n01_2.JPEG").write_bytes(b"\xff\xd8\xff")
    (tiny / "val" / "images" / "val_3.JPEG").write_bytes(b"")
    dataset = load(DataSettings(name="tiny-imagenet", root=tiny, skip_broken=True))
    assert dataset.train.labels.tolist() == [0] * 4 + [1] * 3 + [2] * 4
    assert dataset.validation.labels.tolist() == [0, 0, 1, 2, 2]
    assert "left out 2 broken images: train/n01/images/n01_2.JPEG (" in messages()[-1]


def test_the_command_line_shows_the_whole_list(damaged, within):
    words = ["data", f"folder:{damaged}", "--skip-broken-images", "data.size=8"]
    code, output = within(*words)
    assert code == 0
    lines = output.out.splitlines()
    assert lines[1:3] == [
        "  training    102 images, 2 to 100 per class",
        "  validation  102 images",
    ]
    list_start = lines.index("  left out    4 broken images:") + 1
    assert lines[list_start:] == [
        "    train/cat/broken.png (the file is empty)",
        "    train/dog/050.png (of no known format)",
        "    val/cat/broken.png (the file is empty)",
        "    val/dog/050.png (of no known format)",
    ]


@pytest.mark.parametrize("command", ["train free --out out", "reproduce --out out", "timing free"])
def test_the_flag_reaches_the_recipe(damaged, monkeypatch, within, command, tmp_path):
    """A class without remaining images is refused only if the flag took effect."""
    for path in (damaged / "val" / "cat").rglob("*.*"):
        path.write_bytes(b"")
    words = ["data.name=folder", "--data-root", str(damaged), "--skip-broken-images"]
    monkeypatch.chdir(tmp_path)
    code, output = within(*command.split(), *words)
    assert code == 2
    assert "all images of class 'cat' are broken" in output.err
