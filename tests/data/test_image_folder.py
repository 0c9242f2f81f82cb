import os
import shutil
import unicodedata

import pytest

from gratis.data import DataSettings, load
from gratis.errors import GratisError


def test_the_classes_are_sorted(pets, noise):
    for part in ("train", "val"):
        noise(pets / part / "ant" / "a.webp", 7)
    assert load(DataSettings(name="folder", root=pets)).classes == ("ant", "cat", "dog")
    few = load(DataSettings(name="folder", root=pets, classes=2))
    assert few.classes == ("ant", "cat")
    assert few.train.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(30, 40)], 30),
        ([(30, 40), (50, 50), (90, 60)], 50),
        ([(640, 480)], 224),
        ([(1, 9)], 4),
    ],
)
def test_the_default_size_is_the_median_of_the_images_up_to_224(tmp_path, noise, sizes, expected):
    for part in ("train", "val"):
        for name in ("a", "b"):
            for number, size in enumerate(sizes):
                noise(tmp_path / part / name / f"{number}.png", number, size)
    assert load(DataSettings(name="folder", root=tmp_path)).size == expected


def test_what_was_read_is_described_and_logged(pets, caplog):
    (pets / "train" / "stray.png").write_bytes(b"")
    (pets / "train" / "cat" / "a.heic").write_bytes(b"heic")
    (pets / "test").mkdir()
    dataset = load(DataSettings(name="folder", root=pets, size=16))
    expected = {
        "sizes": "8x8 to 20x30, centre crop to 16x16",
        "split": "train and val",
        "not read": "2 .txt, 1 outside the class folders, 1 .heic; convert them to JPEG or PNG to "
        "use them; the folders test",
    }
    assert dict(dataset.details) == expected
    assert caplog.messages == [f"{pets}: " + "; ".join(f"{k}: {v}" for k, v in expected.items())]
    for title, text in expected.items():
        assert f"  {title:<11} {text}\n" in dataset.describe()


def test_resizing_is_a_setting(pets):
    found = {
        mode: load(DataSettings(name="folder", root=pets, size=8, resize=mode)).fingerprint
        for mode in ("crop", "pad", "squash")
    }
    assert len(set(found.values())) == 3


def test_settings_of_folders_are_refused_for_other_data(tmp_path):
    for key, value in (("val_fraction", 0.2), ("class_names", tmp_path / "names.txt")):
        with pytest.raises(
            ValueError, match=f"{key} applies to folder:PATH, csv:FILE, hf:NAME, wds"
        ):
            DataSettings(name="digits", **{key: value})


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
    with pytest.raises(GratisError, match="pets: has 1 class, but a classifier needs two"):
        load(DataSettings(name="folder", root=pets))
    shutil.rmtree(pets / "train")
    with pytest.raises(GratisError, match=r"train: is not a readable folder; .*val/<class>/"):
        load(DataSettings(name="folder", root=pets))


def test_no_classes_at_all_name_the_folder(tmp_path):
    for part in ("train", "val"):
        (tmp_path / "pets" / part).mkdir(parents=True)
    with pytest.raises(GratisError, match="pets: has 0 classes"):
        load(DataSettings(name="folder", root=tmp_path / "pets"))


ODD_NAMES = [
    "emoji \U0001f98a\u200d\U0001f9ba",
    "\u05e7\u05d5\u05e3 \u202eabc",
    "two\nlines",
    "tab\tand \x1b[2J",
    os.fsdecode(b"caf\xe9 latin-1"),
    " spaces ",
    "quote'\"\\",
    "con",
    "x" * 200,
]


def test_odd_names_are_read_and_shown_on_one_line(tmp_path, noise):
    for part in ("train", "val"):
        for name in ODD_NAMES:
            noise(tmp_path / "pets" / part / name / f"{name}.png", len(name), (8, 8))
    dataset = load(DataSettings(name="folder", root=tmp_path / "pets", size=8))
    assert len(set(dataset.classes)) == len(dataset.train) == len(ODD_NAMES)
    for name in ("two\\nlines", "tab\\tand \\x1b[2J", "caf\\udce9 latin-1", " spaces ", "con"):
        assert name in dataset.classes
    for name in dataset.classes:
        assert "\n" not in name and name.encode()
    assert load(DataSettings(name="folder", root=tmp_path / "pets", size=8)).classes == (
        dataset.classes
    )


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_broken_image_of_an_odd_name_is_one_line(pets, name, messages):
    (pets / "train" / "dog" / f"{name}.png").write_bytes(b"")
    with pytest.raises(GratisError, match="the file is empty") as caught:
        load(DataSettings(name="folder", root=pets))
    assert "\n" not in str(caught.value) and str(caught.value).encode()
    load(DataSettings(name="folder", root=pets, skip_broken=True))
    (message,) = messages()
    assert "\n" not in message and "\x1b" not in message


def test_the_two_spellings_of_an_accent_are_the_same_class(pets, noise):
    for part, form in (("train", "NFC"), ("val", "NFD")):
        noise(pets / part / unicodedata.normalize(form, "\xe9lan") / "a.png", 1, (8, 8))
    dataset = load(DataSettings(name="folder", root=pets, size=8))
    assert dataset.classes == ("cat", "dog", "\xe9lan")
    assert dataset.validation.labels.tolist() == [0, 0, 1, 2]
    noise(pets / "train" / unicodedata.normalize("NFD", "\xe9lan") / "b.png", 1, (8, 8))
    with pytest.raises(GratisError, match="train: has two folders for class \xe9lan; merge them"):
        load(DataSettings(name="folder", root=pets))


def test_hidden_and_stray_files_are_skipped(pets, noise):
    expected = load(DataSettings(name="folder", root=pets, size=8)).fingerprint
    for part in ("train", "val"):
        (pets / part / ".DS_Store").write_bytes(b"\0")
        (pets / part / "stray.png").write_bytes(b"")
        (pets / part / ".hidden").mkdir()
        (pets / part / "nowhere").symlink_to("nothing")
        (pets / part / "loop").symlink_to("loop")
        noise(pets / part / "cat" / ".cache" / "x.png", 3)
        (pets / part / "dog" / "empty" / "emptier").mkdir(parents=True)
    assert load(DataSettings(name="folder", root=pets, size=8)).fingerprint == expected


def test_a_class_of_empty_folders_holds_no_images(pets):
    for part in ("train", "val"):
        (pets / part / "emu" / "deep" / "deeper").mkdir(parents=True)
    with pytest.raises(GratisError, match="train/emu: holds no images; add some, or remove the cl"):
        load(DataSettings(name="folder", root=pets))


def test_many_differing_classes_are_counted(pets):
    for number in range(20):
        (pets / "train" / f"{number:02}").mkdir()
    with pytest.raises(
        GratisError, match=r"classes: 00 \(only in train\), .*, 02 \(only .*, and 17 more; give"
    ):
        load(DataSettings(name="folder", root=pets))
