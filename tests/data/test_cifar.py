import errno
import hashlib
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gratis.data import DataSettings, cifar, load
from gratis.errors import GratisError


def records(seed: int, labels: list[int], classes: int) -> tuple[bytes, np.ndarray]:
    """Return images in the binary format, written by hand, and their pixels."""
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    content = b""
    for label, image in zip(labels, images, strict=True):
        content += bytes([label] if classes == 10 else [label // 5, label])
        content += b"".join(image[:, :, channel].tobytes() for channel in range(3))
    return content, images


@pytest.fixture(params=["cifar10", "cifar100"])
def made(request, tmp_path):
    """The name, a root that holds the unpacked folder, and the images and labels in it."""
    layout = cifar.LAYOUTS[request.param]
    folder = tmp_path / "root" / layout.published.folder
    folder.mkdir(parents=True)
    rows = {}
    for seed, name in enumerate((*layout.train, layout.validation)):
        labels = [(3 * seed + step) % layout.classes for step in (0, 1, layout.classes - 1)]
        content, images = records(seed, labels, layout.classes)
        (folder / name).write_bytes(content)
        rows[name] = (images, labels)
    names = "\n".join(f"class{number}" for number in range(layout.classes))
    (folder / layout.published.marker).write_text(names + "\n\n")
    return request.param, tmp_path / "root", rows


def test_images_labels_and_names(made):
    name, root, rows = made
    layout, dataset = cifar.LAYOUTS[name], load(DataSettings(name=name, root=root))
    images = np.concatenate([rows[file][0] for file in layout.train])
    assert np.array_equal(dataset.train.images, images)
    assert dataset.train.labels.tolist() == [
        label for file in layout.train for label in rows[file][1]
    ]
    assert np.array_equal(dataset.validation.images, rows[layout.validation][0])
    assert dataset.classes[-1] == f"class{layout.classes - 1}"
    assert (dataset.name, dataset.size, dataset.flippable) == (name, 32, True)


def test_fewer_classes_and_another_size(made):
    name, root, rows = made
    layout = cifar.LAYOUTS[name]
    dataset = load(DataSettings(name=name, root=root, classes=layout.classes - 1, size=16))
    kept = [label for file in layout.train for label in rows[file][1] if label < layout.classes - 1]
    assert dataset.train.labels.tolist() == kept
    assert dataset.train.images.shape == (len(kept), 16, 16, 3)


def test_classes_may_begin_anywhere(made):
    name, root, rows = made
    layout = cifar.LAYOUTS[name]
    dataset = load(DataSettings(name=name, root=root, first_class=1))
    labels = [label for file in layout.train for label in rows[file][1]]
    assert dataset.train.labels.tolist() == [label - 1 for label in labels if label]
    assert dataset.classes[0] == "class1" and len(dataset.classes) == layout.classes - 1


def test_the_archive_is_downloaded_checked_and_unpacked(made, server, monkeypatch):
    name, root, _ = made
    layout = cifar.LAYOUTS[name]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(root / layout.published.folder, layout.published.folder)
    server.content = archive.getvalue()
    published = replace(
        layout.published,
        url=server.url(layout.published.name),
        md5=hashlib.md5(server.content).hexdigest(),
    )
    monkeypatch.setitem(cifar.LAYOUTS, name, replace(layout, published=published))
    fetched = load(DataSettings(name=name))
    assert fetched.fingerprint == load(DataSettings(name=name, root=root)).fingerprint


def broken(made, change) -> str:
    name, root, _ = made
    layout = cifar.LAYOUTS[name]
    change(root / layout.published.folder, layout)
    with pytest.raises(GratisError) as caught:
        load(DataSettings(name=name, root=root))
    assert "restore it from the original" in str(caught.value)
    return str(caught.value)


def test_a_truncated_file_is_named(made):
    def cut(folder: Path, layout: cifar.Layout) -> None:
        path = folder / layout.train[0]
        path.write_bytes(path.read_bytes()[:-1])

    assert "is truncated" in broken(made, cut)


def test_an_empty_file_is_named(made):
    def empty(folder: Path, layout: cifar.Layout) -> None:
        (folder / layout.validation).write_bytes(b"")

    assert "is truncated (0 bytes" in broken(made, empty)


def test_a_missing_file_is_named(made):
    def remove(folder: Path, layout: cifar.Layout) -> None:
        (folder / layout.validation).unlink()

    assert "cannot be read" in broken(made, remove)


@pytest.mark.parametrize("label", ["first too large", 255])
def test_an_impossible_label_is_named(made, label):
    def relabel(folder: Path, layout: cifar.Layout) -> None:
        path = folder / layout.validation
        content = bytearray(path.read_bytes())
        content[layout.label_bytes - 1] = layout.classes if isinstance(label, str) else label
        path.write_bytes(content)

    assert "has a label above" in broken(made, relabel)


def test_another_number_of_images_than_in_the_original_is_logged(made, messages, monkeypatch):
    name, root, rows = made
    training = 3 * (len(rows) - 1)
    load(DataSettings(name=name, root=root))
    assert messages() == [
        f"{name}: using the {training} of 50000 training and 3 of 10000 validation images present"
    ]
    monkeypatch.setattr(cifar, "_TRAIN", training)
    monkeypatch.setattr(cifar, "_VALIDATION", 3)
    load(DataSettings(name=name, root=root))
    assert messages() == []


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_path_that_is_not_a_file_is_named(made, kind):
    def change(folder: Path, layout: cifar.Layout) -> None:
        path = folder / layout.train[-1]
        path.unlink()
        os.mkfifo(path) if kind == "pipe" else path.mkdir()

    assert f"{cifar.LAYOUTS[made[0]].train[-1]}: is not a file" in broken(made, change)


def test_too_few_class_names_are_named(made):
    def forget(folder: Path, layout: cifar.Layout) -> None:
        (folder / layout.published.marker).write_text("one\ntwo\n")

    assert "names 2 classes" in broken(made, forget)


def test_an_unreadable_file_is_named(made, monkeypatch):
    def deny(path: Path, dtype: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(np, "fromfile", deny)
    name, root, _ = made
    with pytest.raises(GratisError, match=r"\.bin: cannot be read \(Permission denied\)"):
        load(DataSettings(name=name, root=root))
