"""Folders of images as people have them: names of splits, no split, endings."""

import logging

import pytest
from PIL import Image, features

from gratis.data import DataSettings, load
from gratis.errors import GratisError


def read(root, **options):
    return load(DataSettings(name="folder", root=root, **({"size": 8} | options)))


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test", "testing", "Val", "TEST"])
def test_the_validation_folder_has_many_names(pets, name):
    expected = read(pets).fingerprint
    (pets / "val").rename(pets / "other")
    (pets / "other").rename(pets / name)
    (pets / "train").rename(pets / "Training")
    assert read(pets).fingerprint == expected


def test_a_folder_with_a_split_takes_no_fraction(pets):
    with pytest.raises(GratisError, match=r"split of its own \(the folders train and val\); leave"):
        read(pets, val_fraction=0.2)


def test_a_test_folder_is_not_read_beside_a_validation_folder(pets, noise):
    expected = read(pets).fingerprint
    noise(pets / "test" / "cat" / "a.png", 1)
    dataset = read(pets)
    assert dataset.fingerprint == expected
    assert "the folders test" in dict(dataset.details)["not read"]


def test_two_validation_folders_are_refused(pets):
    (pets / "valid").mkdir()
    with pytest.raises(GratisError, match="has the folders val and valid; merge them"):
        read(pets)


@pytest.fixture
def unsplit(tmp_path, noise):
    """Two class folders of 40 images without a split."""
    for label, name in enumerate(("cat", "dog")):
        for number in range(40):
            noise(tmp_path / "pets" / name / f"{number}.png", 100 * label + number, (8, 8))
    return tmp_path / "pets"


def test_class_folders_without_a_split_are_split_by_name(unsplit):
    dataset = read(unsplit, val_fraction=0.25)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.train) + len(dataset.validation) == 80
    for split in (dataset.train, dataset.validation):
        assert set(split.labels) == {0, 1}
    assert 5 <= len(dataset.validation) <= 40
    assert "25% of the images are held out" in dict(dataset.details)["split"]
    (unsplit.parent / "moved").mkdir()
    unsplit.rename(unsplit.parent / "moved" / "train")
    assert read(unsplit.parent / "moved", val_fraction=0.25).fingerprint == dataset.fingerprint


def test_images_stay_in_their_split_when_others_are_added(unsplit, noise):
    def pixels(split):
        return {image.tobytes() for image in split.images}

    before = read(unsplit, val_fraction=0.25)
    for number in range(40, 80):
        noise(unsplit / "cat" / f"{number}.png", 1000 + number, (8, 8))
    after = read(unsplit, val_fraction=0.25)
    assert pixels(before.train) <= pixels(after.train)
    assert pixels(before.validation) <= pixels(after.validation)


def test_small_classes_have_images_in_both_splits(tmp_path, noise):
    for name in ("a", "b", "c"):
        for number in range(2):
            noise(tmp_path / "pets" / name / f"{number}.png", number, (8, 8))
    for fraction in (0.01, 0.99):
        dataset = read(tmp_path / "pets", val_fraction=fraction)
        assert dataset.train.labels.tolist() == dataset.validation.labels.tolist() == [0, 1, 2]
    (tmp_path / "pets" / "a" / "0.png").unlink()
    with pytest.raises(GratisError, match=r"a: has 1 image, .*; add some, or make the folders tra"):
        read(tmp_path / "pets")


def test_all_images_can_be_evaluated(unsplit):
    dataset = read(unsplit, val_fraction=1)
    assert len(dataset.train) == len(dataset.validation) == 80


def test_another_fraction_is_another_data_set(unsplit):
    found = {read(unsplit, val_fraction=fraction).fingerprint for fraction in (0.1, 0.3, 0.5, 1)}
    assert len(found) == 4


def test_a_class_may_be_called_train(tmp_path, noise):
    for name in ("bus", "train"):
        for number in range(2):
            noise(tmp_path / name / f"{number}.png", number, (8, 8))
    assert read(tmp_path).classes == ("bus", "train")


def test_splits_without_class_folders_are_no_classes(tmp_path, noise):
    for name in ("train", "val"):
        noise(tmp_path / name / "a.png", 0, (8, 8))
    with pytest.raises(GratisError, match="has 0 classes"):
        read(tmp_path)


def test_every_usual_ending_is_read(tmp_path):
    endings = [".jpg", ".jfif", ".jpe", ".JPEG", ".dib", ""]
    for name in ("cat", "dog"):
        for number, ending in enumerate(endings):
            path = tmp_path / name / f"{number}{ending}"
            path.parent.mkdir(exist_ok=True)
            kind = "BMP" if ending == ".dib" else "JPEG"
            Image.new("RGB", (8, 8), (9 * number, 9, 9)).save(path, kind)
        (tmp_path / name / "LICENSE").write_text("none")
        (tmp_path / name / "a.xmp").write_text("none")
    dataset = read(tmp_path)
    assert len(dataset.train) + len(dataset.validation) == 2 * len(endings)
    assert dict(dataset.details)["not read"] == "2 without an ending, 2 .xmp"


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow does not read AVIF")
def test_avif_is_read(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for path in (tmp_path / name / "a.avif", tmp_path / name / "b"):
            Image.new("RGB", (8, 8), (200, 40, 90)).save(path, "AVIF")
    assert len(read(tmp_path).train) == 2


def test_photographs_in_heic_are_counted_with_a_remedy(pets, caplog):
    (pets / "train" / "cat" / "a.HEIC").write_bytes(b"")
    read(pets)
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "1 .heic; convert them to JPEG or PNG" in record.getMessage()
    (pets / "val" / "dog" / "c.bmp").rename(pets / "val" / "dog" / "c.heic")
    with pytest.raises(GratisError, match=r"dog: holds no supported images, but .*\.heic.*convert"):
        read(pets)


@pytest.mark.parametrize("split", [True, False])
def test_a_folder_around_that_of_the_images_is_told_apart(pets, tmp_path, noise, split):
    """Archives often unpack to a folder in a folder."""
    noise(pets / "train" / "dog" / "more.png", 1)
    outer = tmp_path / "unpacked"
    outer.mkdir()
    (pets if split else pets / "train").rename(outer / "my pets")
    with pytest.raises(
        GratisError, match="one folder, whose folders may be the classes"
    ) as refused:
        read(outer)
    named = str(refused.value).rpartition("; name ")[2]
    assert len(read(named).classes) == 2


def test_as_many_images_of_each_class_are_one_number(pets):
    assert "  training    3 images, 1 to 2 per class" in read(pets).describe()
    (pets / "train" / "cat" / "a.png").unlink()
    assert "  training    2 images, 1 per class" in read(pets).describe()
