import shutil

import pytest

from gratis.data import DataSettings, load
from gratis.errors import GratisError


def test_the_size_is_64_unless_told_and_classes_are_the_first_sorted(pets, noise):
    for part in ("train", "val"):
        noise(pets / part / "ant" / "a.webp", 7)
    dataset = load(DataSettings(name="folder", root=pets))
    assert (dataset.size, dataset.classes) == (64, ("ant", "cat", "dog"))
    few = load(DataSettings(name="folder", root=pets, classes=2))
    assert few.classes == ("ant", "cat")
    assert few.train.labels.tolist() == [0, 1, 1]


def test_classes_that_differ_are_listed(pets, noise):
    noise(pets / "train" / "emu" / "a.png", 0)
    noise(pets / "val" / "fox" / "a.png", 0)
    with pytest.raises(GratisError, match=r"pets: .*emu \(only in train\), fox \(only in val\)"):
        load(DataSettings(name="folder", root=pets))


def test_missing_and_empty_folders_are_named(pets):
    with pytest.raises(GratisError, match="write --data folder:PATH"):
        load(DataSettings(name="folder"))
    with pytest.raises(GratisError, match="has 2 classes, not 3"):
        load(DataSettings(name="folder", root=pets, classes=3))
    (pets / "train" / "dog" / "c.bmp").unlink()
    with pytest.raises(GratisError, match="dog: holds no images"):
        load(DataSettings(name="folder", root=pets))
    for part in ("train", "val"):
        shutil.rmtree(pets / part / "dog")
    with pytest.raises(GratisError, match="pets: has 1 class, and a classifier needs two"):
        load(DataSettings(name="folder", root=pets))
    shutil.rmtree(pets / "val")
    with pytest.raises(GratisError, match=r"val: is not a readable folder; .*val/<class>/"):
        load(DataSettings(name="folder", root=pets))


def test_no_classes_at_all_name_the_folder(tmp_path):
    for part in ("train", "val"):
        (tmp_path / "pets" / part).mkdir(parents=True)
    with pytest.raises(GratisError, match="pets: has 0 classes"):
        load(DataSettings(name="folder", root=tmp_path / "pets"))
