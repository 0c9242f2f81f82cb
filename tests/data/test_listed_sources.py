"""Shards of webdataset and tables of ``datasets``: the same images make the same data set."""

import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gratis.run.loading
from gratis.data import DataSettings, from_argument, load
from gratis.errors import GratisError

datasets = pytest.importorskip("datasets")

CLASSES = ("n2", "n3", "n1")
IN_ORDER = ("n1", "n2", "n3")


def encoded(number: int) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    return stream.getvalue()


# Images in an order of no class and no name: class, name, content.
IMAGES = [(CLASSES[k % 3], f"{(7 * k) % 30:02}", encoded(k)) for k in range(30)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("folder")
    for name, stem, content in IMAGES:
        path = root / name / f"{stem}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return root


def shard(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def sample(image, label=".cls", prefix="") -> dict[str, bytes]:
    name, stem, content = image
    text = json.dumps({"width": 8, "label": name}) if label == ".json" else f"{name}\n"
    return {f"{prefix}{stem}.png": content, f"{prefix}{stem}{label}": text.encode()}


def shards(root: Path, images=IMAGES, name="x", **options) -> Path:
    for number in range(3):
        members = [sample(image, **options) for image in images[number::3]]
        shard(root / f"{name}-{number:03}.tar", {k: v for each in members for k, v in each.items()})
    return root / f"{name}-{{000..002}}.tar"


def table(images=IMAGES, named=True):
    return datasets.Dataset.from_dict(
        {
            "picture": [
                {"bytes": content, "path": f"{stem}.png" if named else None}
                for _, stem, content in images
            ],
            "label": [IN_ORDER.index(name) for name, _, _ in images],
        },
        features=datasets.Features(
            {"picture": datasets.Image(), "label": datasets.ClassLabel(names=list(IN_ORDER))}
        ),
    )


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """The library's cache in a folder of its own, and no network."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def read(name: str, root: object = None, **options):
    return load(DataSettings(name=name, root=root, **({"size": 8} | options)))


@pytest.mark.parametrize("fraction", [0.1, 0.4, 1])
def test_three_sources_of_the_same_images_are_one_data_set(folder, tmp_path, offline, fraction):
    expected = read("folder", folder, val_fraction=fraction)
    table().save_to_disk(tmp_path / "saved")
    (tmp_path / "parquet").mkdir()
    table().to_parquet(tmp_path / "parquet" / "train-00000.parquet")
    for name, root in (
        ("wds", shards(tmp_path)),
        ("hf", tmp_path / "saved"),
        ("hf", tmp_path / "parquet"),
        ("hf", folder),
    ):
        found = read(name, root, val_fraction=fraction)
        assert found.classes == IN_ORDER
        assert found.fingerprint == expected.fingerprint, (name, root)
        assert np.array_equal(found.validation.images, expected.validation.images)


def test_splits_are_found_by_their_names(folder, tmp_path, offline, caplog):
    caplog.set_level("INFO")
    train, val, other = IMAGES[:21], IMAGES[21:27], IMAGES[27:]
    parts = {"train": train, "validation": val, "test": other}
    datasets.DatasetDict({name: table(each) for name, each in parts.items()}).save_to_disk(
        tmp_path / "saved"
    )
    for name, part in parts.items():
        shards(tmp_path, part, name=f"my-{name}")
    pattern = tmp_path / "my-{train,validation,test}-{000..002}.tar"
    found = read("wds", pattern)
    assert [len(found.train), len(found.validation)] == [21, 6]
    assert "not read: the shards of test" in caplog.text
    assert read("hf", tmp_path / "saved").fingerprint == found.fingerprint
    assert "not read: the splits test" in caplog.text
    for name, root in (("wds", pattern), ("hf", tmp_path / "saved")):
        with pytest.raises(GratisError, match=r"split of its own.*leave out data.val_fraction"):
            read(name, root, val_fraction=0.2)


@pytest.mark.parametrize("label", [".cls", ".json", ".txt"])
def test_a_class_is_given_by_a_member_and_a_folder_in_the_shard_is_no_part_of_a_name(
    folder, tmp_path, label
):
    expected = read("folder", folder)
    assert read("wds", shards(tmp_path, label=label)).fingerprint == expected.fingerprint
    for number, name in enumerate(CLASSES):
        # Files named like class folders, as in an archive of them.
        members = [sample(each, label, f"a/{name}/") for each in IMAGES if each[0] == name]
        shard(tmp_path / f"y-{number}.tar", {k: v for each in members for k, v in each.items()})
    assert read("wds", tmp_path / "y-*.tar").fingerprint == expected.fingerprint


def test_numbers_of_classes_get_their_names_from_a_file(folder, tmp_path, offline):
    names = tmp_path / "classes.txt"
    names.write_text("\n".join(CLASSES))
    expected = read("folder", folder, class_names=names)
    assert expected.classes == CLASSES
    numbered = [(str(CLASSES.index(name)), stem, content) for name, stem, content in IMAGES]
    root = shards(tmp_path, numbered)
    assert read("wds", root, class_names=names).fingerprint == expected.fingerprint
    assert read("wds", root).classes == ("0", "1", "2")
    plain = table().cast_column("label", datasets.Value("int64"))
    plain = plain.remove_columns("label").add_column("target", [int(n) for n, _, _ in numbered])
    plain.save_to_disk(tmp_path / "plain")
    found = read("hf", tmp_path / "plain", class_names=names)
    assert found.fingerprint == expected.fingerprint
    names.write_text("a\nb")
    with pytest.raises(GratisError, match=r"names 2 classes, and .* has a label 2; name every"):
        read("wds", root, class_names=names)


def test_images_without_names_keep_the_order_of_their_rows(folder, tmp_path, offline):
    table(named=False).save_to_disk(tmp_path / "saved")
    found = read("hf", tmp_path / "saved", val_fraction=1)
    rows = [each for name in IN_ORDER for each in IMAGES if each[0] == name]
    for image, (_, _, content) in zip(found.train.images, rows, strict=True):
        assert np.array_equal(image, np.asarray(Image.open(io.BytesIO(content))))


def test_a_column_of_bytes_can_be_named(folder, tmp_path, offline):
    plain = datasets.Dataset.from_dict(
        {"raw": [c for _, _, c in IMAGES], "note": [n for n, _, _ in IMAGES], "age": [1] * 30}
    )
    plain.save_to_disk(tmp_path / "saved")
    found = read("hf", tmp_path / "saved", columns=["raw", "note"], val_fraction=1)
    assert found.classes == IN_ORDER and len(found.train) == 30
    with pytest.raises(GratisError, match=r"no column 'x', but raw, note, age; name the columns"):
        read("hf", tmp_path / "saved", columns=["raw", "x"])
    with pytest.raises(GratisError, match=r"saved: cannot be loaded \("):
        read("hf", tmp_path / "saved", columns=["age", "note"])


def change(**columns: object) -> Callable[[object], object]:
    """Replace columns of the table, or remove those that are ``None``."""

    def changed(found):
        for name, values in columns.items():
            if name in found.column_names:
                found = found.remove_columns(name)
            found = found if values is None else found.add_column(name, values)
        return found

    return changed


BAD_TABLES = {
    "no images": (change(picture=None), r"no column of images \(its columns: label\); name the"),
    "two columns of images": (
        lambda found: datasets.concatenate_datasets(
            [found, found.select_columns("picture").rename_column("picture", "mask")], axis=1
        ),
        r"has 2 columns of images \(picture, mask\); name the columns with data.columns=\[IMAGE",
    ),
    "no column of labels": (change(label=None), r"has no column of labels \(its columns: picture"),
    "two columns of labels": (
        change(category=["a", "b", "c"] * 10),
        r"has 2 columns of labels \(label, category\)",
    ),
    "secret labels": (change(label=None, y=[None] + [1] * 29), "has 1 images without a label"),
    "floats": (change(label=None, y=[0.5] * 30), "has no labels in the column 'y', but Value"),
    "one class": (change(label=None, y=["a"] * 30), "has 1 class, but a classifier needs two"),
    "one image": (
        change(label=None, y=["a"] + ["b"] * 29),
        "has 1 image of class a, and none to hold out for validation; add some, or a split val",
    ),
}


@pytest.mark.parametrize(("changed", "message"), BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_a_bad_table_is_one_clear_line(changed, message, tmp_path, offline):
    changed(table()).save_to_disk(tmp_path / "saved")
    with pytest.raises(GratisError, match=message) as caught:
        read("hf", tmp_path / "saved")
    assert str(caught.value).startswith(str(tmp_path / "saved"))
    assert "\n" not in str(caught.value)


def test_a_data_set_that_cannot_be_loaded_is_one_clear_line(tmp_path, offline):
    with pytest.raises(
        GratisError, match=r"^hf:a/b: cannot be downloaded, and is not in the cache"
    ):
        read("hf", hub="a/b")
    (tmp_path / "empty").mkdir()
    with pytest.raises(GratisError, match="empty: holds no files of data; it needs Parquet"):
        read("hf", tmp_path / "empty")
    shards(tmp_path / "empty")
    with pytest.raises(GratisError, match="holds shards of webdataset; name them with wds:PATTERN"):
        read("hf", tmp_path / "empty")
    with pytest.raises(GratisError, match="needs a data set; write --data hf:NAME"):
        read("hf")
    parts = {"a": table(), "b": table()}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    with pytest.raises(GratisError, match="has no split train, but a, b; rename one of them"):
        read("hf", tmp_path / "saved")


def test_no_code_of_a_data_set_is_run(tmp_path, offline):
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(GratisError, match="script of its authors, and no code of others is run"):
        read("hf", tmp_path / "script")
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "train.pkl").write_bytes(pickle.dumps(Canary(tmp_path / "ran")))
    with pytest.raises(GratisError, match="pickled: "):
        read("hf", tmp_path / "pickled")
    members = {k: v for each in IMAGES for k, v in sample(each).items()}
    members |= {f"{stem}.pyd": pickle.dumps(Canary(tmp_path / "ran")) for _, stem, _ in IMAGES}
    shard(tmp_path / "p.tar", members)
    assert len(read("wds", tmp_path / "p.tar", val_fraction=1).train) == 30
    assert not (tmp_path / "ran").exists()


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_the_extra_is_named_where_the_library_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(GratisError, match=r"needs the extra 'hf'; install it: pip install 'gratis"):
        read("hf", tmp_path)


def test_broken_images_are_named_and_can_be_left_out(tmp_path, offline):
    images = [*IMAGES, ("n1", "98", b""), ("n2", "99", b"GIF89a")]
    table(images).save_to_disk(tmp_path / "saved")
    for root, name, where in (
        (shards(tmp_path, images), "wds", r"x-00\d.tar/9[89].png"),
        (tmp_path / "saved", "hf", r"saved/train, row 3[01]"),
    ):
        with pytest.raises(GratisError, match=rf"{where}: is not a readable image \("):
            read(name, root)
        found = read(name, root, skip_broken=True, val_fraction=1)
        assert len(found.train) == 30
        assert {reason.partition(" (")[2] for reason in found.skipped} == {
            "the file is empty)",
            "of no known format)",
        }


def test_the_argument_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert from_argument("hf:user/name") == {"name": "hf", "hub": "user/name"}
    (tmp_path / "user" / "name").mkdir(parents=True)
    here = {"name": "hf", "root": str(tmp_path / "user" / "name")}
    assert from_argument("hf:user/name") == here
    pattern = "wds:a/{train,val}-{0..3}.tar"
    assert from_argument(pattern) == {"name": "wds", "root": str(tmp_path / pattern[4:])}
    with pytest.raises(GratisError, match="is no local file; download the shards first"):
        from_argument("wds:https://host/a.tar")
    with pytest.raises(GratisError, match="lacks a path; write hf:NAME"):
        from_argument("hf:")
    assert DataSettings(name="hf", hub="user/name").label == "name"
    labels = {"big-train-{000..9}.tar": "big", "train/*.tar": "train", "{a,b}.tar": tmp_path.name}
    for text, label in labels.items():
        assert DataSettings(name="wds", root=tmp_path / text).label == label
    with pytest.raises(ValueError, match="hub applies to hf:NAME only"):
        DataSettings(name="folder", hub="user/name")


def test_a_run_reads_its_shards_again(tmp_path):
    settings = DataSettings(name="wds", root=shards(tmp_path), size=8)
    assert len(gratis.run.loading.load_again(settings).classes) == 3
