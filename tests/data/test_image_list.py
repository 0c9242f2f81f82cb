"""A CSV file of images and labels as a data source."""

import logging
import os

import numpy as np
import pytest

from gratis.data import DataSettings, from_argument, load
from gratis.errors import GratisError


@pytest.fixture
def photos(tmp_path, noise):
    """A folder of 24 images of cats and dogs, and what a list of them says."""
    lines = []
    for number in range(24):
        noise(tmp_path / "photos" / f"{number}.png", number, (8, 8))
        lines.append(f"photos/{number}.png,{'cat' if number % 2 else 'dog'}")
    return lines


@pytest.fixture
def listed(tmp_path, photos):
    def write(header="file,label", lines=None):
        path = tmp_path / "list.csv"
        path.write_text("\n".join([header, *(photos if lines is None else lines)]))
        return path

    return write


def read(path, **options):
    return load(DataSettings(name="csv", root=path, **({"size": 8} | options)))


def test_a_list_gives_what_class_folders_of_its_images_give(tmp_path, listed, photos):
    dataset = read(listed(), val_fraction=1)
    assert dataset.classes == ("cat", "dog")
    for line in photos:
        file, label = line.split(",")
        target = tmp_path / "folders" / label / os.path.basename(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(tmp_path / file, target)
    folder = load(DataSettings(name="folder", root=tmp_path / "folders", size=8, val_fraction=1))
    for label in (0, 1):
        own, theirs = (
            split.train.images[split.train.labels == label] for split in (dataset, folder)
        )
        assert {image.tobytes() for image in own} == {image.tobytes() for image in theirs}


def test_a_list_with_a_split_takes_no_fraction(tmp_path, listed, photos):
    parts = ("train", "val")
    split = [f"{line},{parts[number % 4 == 3]}" for number, line in enumerate(photos)]
    path = listed("file,label,split", split)
    read(path)
    with pytest.raises(GratisError, match="split of its own"):
        read(path, val_fraction=0.2)


def test_the_same_images_are_held_out_when_others_are_added(listed, photos):
    few = read(listed(lines=photos[:16]), val_fraction=0.25)
    more = read(listed(lines=photos), val_fraction=0.25)
    held = {image.tobytes() for image in few.validation.images}
    trained = {image.tobytes() for image in few.train.images}
    assert len(held) + len(trained) == 16 and not held & trained
    assert set(few.validation.labels) == {0, 1}
    # One of each class is held out in any case, and may be another one.
    moved = held & {image.tobytes() for image in more.train.images}
    assert len(moved) <= 2


@pytest.mark.parametrize("header", ["image_path;Class Name", "filename;category", "Path;y"])
def test_columns_with_usual_names_and_other_delimiters_are_found(header, listed, photos):
    expected = read(listed())
    lines = [line.replace(",", ";") for line in photos]
    assert read(listed("\ufeff" + header, lines)).fingerprint == expected.fingerprint


def test_columns_can_be_named_and_quoted_cells_and_other_columns_are_read(listed, photos):
    expected = read(listed())
    lines = [f'"a, b",{line.split(",")[1]}," {line.split(",")[0]} "' for line in photos]
    path = listed("note,breed,photo", lines)
    with pytest.raises(GratisError, match=r"has no file in its first line \(note, breed, photo\)"):
        read(path)
    assert read(path, columns=["photo", "breed"]).fingerprint == expected.fingerprint
    with pytest.raises(GratisError, match="has no column 'race'"):
        read(path, columns=["photo", "race"])


def test_a_column_gives_the_split(listed, photos, caplog):
    names = ["train", "val", "test", "TRAIN"] * 6
    lines = [f"{line},{split}" for line, split in zip(photos, names, strict=True)]
    caplog.set_level(logging.INFO)
    dataset = read(listed("file,label,split", lines))
    assert (len(dataset.train), len(dataset.validation)) == (12, 6)
    assert "not read: 6 test" in caplog.text
    without = [line for line in lines if not line.endswith("val")]
    assert len(read(listed("file,label,split", without)).validation) == 6
    with pytest.raises(GratisError, match="line 3 has the split 'held out'; write one of train"):
        read(listed("file,label,split", [lines[0], lines[1].replace("val", "held out")]))


def test_changed_labels_of_the_same_images_are_read(listed, photos):
    before = read(listed(), val_fraction=1)
    swapped = [photos[0].replace("dog", "cat"), photos[1].replace("cat", "dog"), *photos[2:]]
    after = read(listed(lines=swapped), val_fraction=1)
    np.testing.assert_array_equal(before.train.images, after.train.images)
    assert (before.train.labels != after.train.labels).sum() == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "lists no images; name the columns"),
        (["photos/0.png,dog", "photos/1.png"], "line 3 has no file or no label; complete it"),
        (["photos/0.png,dog", ",cat"], "line 3 has no file or no label"),
        (["photos/0.png,dog", "photos/0.png,cat"], "names photos/0.png in lines 2 and 3; name"),
        (["photos/0.png,dog", "photos/1.png,dog"], "has 1 class, but a classifier needs two"),
        (["photos/0.png,dog", "photos/1.png,cat"], "has 1 image of cat, and none to hold out"),
        (['photos/0.png,"dog'], "line 2 is no CSV"),
    ],
)
def test_a_bad_list_is_one_clear_line(lines, message, listed):
    with pytest.raises(GratisError, match=message) as error:
        read(listed(lines=lines))
    assert "list.csv: " in str(error.value) and "\n" not in str(error.value)


def test_missing_images_are_named_with_their_lines(listed, photos):
    with pytest.raises(GratisError, match=r"not exist in .*: elsewhere/a.png \(line 3\); correct"):
        read(listed(lines=[photos[0], "elsewhere/a.png,cat"]), val_fraction=1)


def test_what_is_no_list_is_refused(tmp_path, listed):
    with pytest.raises(GratisError, match=r"missing.csv: cannot be read \(No such file"):
        read(tmp_path / "missing.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(GratisError, match=r"cannot be read \(not a regular file\)"):
        read(tmp_path / "pipe.csv")
    path = tmp_path / "latin.csv"
    path.write_bytes(b"file,label\n\xe4.png,cat\n")
    with pytest.raises(GratisError, match="it is not UTF-8"):
        read(path)
    with pytest.raises(GratisError, match="needs a file; write --data csv:FILE"):
        read(None)
    with pytest.raises(GratisError, match=r"pets.csv: is a list; write csv:pets.csv"):
        from_argument("pets.csv")


def test_settings_of_lists_are_refused_elsewhere():
    with pytest.raises(ValueError, match="columns applies to csv:FILE, hf:NAME, wds:PATTERN only"):
        DataSettings(name="folder", columns=["a", "b"])
