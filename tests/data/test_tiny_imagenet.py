import errno
import hashlib
import os
import shutil
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gratis.data import DataSettings, load, tiny_imagenet
from gratis.errors import GratisError

PARTS = Path(__file__).parents[2].parent / "shared" / "tiny-imagenet" / "val.tar.xz"


def read(root: Path, **wishes: int):
    return load(DataSettings(name="tiny-imagenet", root=root, **wishes))


def denied(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    def deny(path: object, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(owner, name, deny)


def decoded(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_images_labels_and_names_follow_the_official_files(tiny):
    dataset = read(tiny)
    assert dataset.classes == ("crane (n03)", "goldfish", "crane (n02)")
    assert dataset.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert dataset.validation.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert np.array_equal(
        dataset.train.images[5], decoded(tiny / "train" / "n01" / "images" / "n01_1.JPEG")
    )
    for number, image in enumerate(dataset.validation.images):
        assert np.array_equal(image, decoded(tiny / "val" / "images" / f"val_{number}.JPEG"))


def test_the_first_classes_and_another_size(tiny):
    few = read(tiny, classes=2, size=32)
    assert few.classes == ("crane", "goldfish")
    assert few.train.images.shape == (8, 32, 32, 3)
    assert few.validation.labels.tolist() == [0, 0, 1, 1]


def test_names_are_the_identifiers_where_there_are_no_words(tiny):
    (tiny / "words.txt").unlink()
    assert read(tiny).classes == ("n03", "n01", "n02")


def test_a_partial_training_set_is_used_and_counted(tiny, messages):
    assert len(read(tiny.parent).train) == 12
    assert messages() == [
        "tiny-imagenet: using the 12 of 1500 training images present, 4 per class"
    ]
    (tiny / "train" / "n01" / "images" / "n01_3.JPEG").unlink()
    assert len(read(tiny).train) == 11
    assert messages() == [
        "tiny-imagenet: using the 11 of 1500 training images present, 3 to 4 per class"
    ]


def test_a_complete_training_set_logs_nothing(tiny, monkeypatch, messages):
    monkeypatch.setattr(tiny_imagenet, "_IMAGES_PER_CLASS", 4)
    read(tiny)
    assert messages() == []


def test_a_class_without_training_images_is_named(tiny):
    shutil.rmtree(tiny / "train" / "n02")
    with pytest.raises(
        GratisError,
        match=r"n02/images: holds no images; add some, or remove the class from wnids\.txt",
    ):
        read(tiny)
    assert read(tiny, classes=2).train.labels.max() == 1


def test_a_missing_validation_image_is_named(tiny):
    (tiny / "val" / "images" / "val_3.JPEG").unlink()
    with pytest.raises(GratisError, match=r"val_3\.JPEG: is missing but listed in .*annotations"):
        read(tiny)


def test_a_validation_image_that_is_not_listed_is_named(tiny, noise):
    noise(tiny / "val" / "images" / "val_6.JPEG", 0)
    with pytest.raises(GratisError, match=r"annotations\.txt: does not list val_6\.JPEG in .*; re"):
        read(tiny)


LINES = {
    "val_0.JPEG\tn99\t0\n": r"line 7 names a class that is not in wnids\.txt; restore it",
    "val_0.JPEG\n": r"line 7 names a class that is not in wnids\.txt; restore it",
    "val_0.JPEG n01 0\n": r"line 7 names a class that is not in wnids\.txt; restore it",
    "\n\nval_0.JPEG\tn01\t0\n": r"line 9 lists val_0\.JPEG again; restore it",
    "val_4.JPEG\tn02\t0\n": r"line 7 lists val_4\.JPEG again; restore it",
    "\x1b[2J\tn02\t0\n": r"\[2J: is missing but listed in .*annotations\.txt; restore it",
    "../../../etc/passwd\tn02\t0\n": r"passwd: is missing but listed in .*annotations\.txt; rest",
}


@pytest.mark.parametrize(("line", "problem"), LINES.items())
def test_a_wrong_line_of_the_annotations_is_numbered(tiny, line, problem):
    path = tiny / "val" / "val_annotations.txt"
    path.write_text(path.read_text() + line)
    with pytest.raises(GratisError, match=problem) as caught:
        read(tiny)
    assert str(caught.value).isprintable()


def test_a_missing_line_is_an_image_that_is_not_listed(tiny):
    path = tiny / "val" / "val_annotations.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:5]))
    with pytest.raises(GratisError, match=r"txt: does not list val_0\.JPEG, val_5\.JPEG in "):
        read(tiny)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"n03\nn01\n\nn03\n", "line 4 names n03 again; restore it"),
        (
            b"n03\nn99\n",
            r"n99/images: holds no images; add some, or remove the class from wnids\.txt",
        ),
        (b"n03\n../../n01\n", r"line 2 is not a class \('../../n01'\); restore it"),
        (b"n03\n/etc\n", r"line 2 is not a class \('/etc'\); restore it"),
        (b"n03\n\x00\n", r"line 2 is not a class \('\\x00'\); restore it"),
        (b"\xff\xfen\x000\x003\x00", r"wnids\.txt: cannot be read \(it is not UTF-8\); restore it"),
        (b"\x89PNG\r\n\x1a\n", r"wnids\.txt: cannot be read \(it is not UTF-8\); restore it"),
    ],
)
def test_a_damaged_list_of_classes_is_one_clear_line(tiny, content, problem):
    (tiny / "wnids.txt").write_bytes(content)
    with pytest.raises(GratisError, match=problem) as caught:
        read(tiny)
    assert str(caught.value).isprintable()


def test_a_list_with_a_byte_order_mark_and_crlf_is_read(tiny):
    (tiny / "wnids.txt").write_bytes(b"\xef\xbb\xbfn03\r\nn01\r\nn02\r\n")
    assert read(tiny).classes == ("crane (n03)", "goldfish", "crane (n02)")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"n01\tgoldfish\nn02\n", "line 2 is not a class, a tab and words; restore it"),
        (b"n01\t, \n", "line 1 is not a class, a tab and words; restore it"),
        (b"n01\tgold\xff\n", r"cannot be read \(it is not UTF-8\); restore it"),
    ],
)
def test_damaged_words_are_one_clear_line(tiny, content, problem):
    (tiny / "words.txt").write_bytes(content)
    with pytest.raises(GratisError, match=rf"words\.txt: {problem}"):
        read(tiny)


def test_control_characters_in_words_are_escaped(tiny):
    (tiny / "words.txt").write_text("n01\tgold\x1b[2Jfish\u202e\n")
    assert read(tiny).classes[1] == "gold\\x1b[2Jfish\\u202e"


@pytest.mark.parametrize("name", ["wnids.txt", "words.txt", "val/val_annotations.txt"])
def test_a_pipe_in_place_of_a_list_does_not_block(tiny, name):
    (tiny / name).unlink()
    os.mkfifo(tiny / name)
    with pytest.raises(GratisError, match=r"wnids\.txt|is missing, or is not a file; restore it"):
        read(tiny)


@pytest.mark.parametrize("name", ["wnids.txt", "val/val_annotations.txt"])
def test_a_missing_list_is_named(tiny, name):
    (tiny / name).unlink()
    with pytest.raises(GratisError, match=Path(name).name):
        read(tiny)


@pytest.mark.parametrize(("kept", "count"), [("", "0 classes"), ("n03", "1 class")])
def test_fewer_than_two_classes_name_the_folder(tiny, kept, count):
    (tiny / "wnids.txt").write_text(kept)
    with pytest.raises(GratisError, match=f"200: has {count}, but a classifier needs two; add"):
        read(tiny)


def test_a_split_without_images_names_the_folder_and_is_not_decoded(tiny, cache):
    annotations = tiny / "val" / "val_annotations.txt"
    lines = annotations.read_text().splitlines(keepends=True)
    for name in ("val_0", "val_1", "val_2", "val_3"):
        (tiny / "val" / "images" / f"{name}.JPEG").unlink()
    annotations.write_text("".join(lines[4:]))
    problem = r"200: has no validation images of the 2 classes in use; .*data\.classes"
    with pytest.raises(GratisError, match=problem):
        read(tiny, classes=2)
    shutil.rmtree(tiny / "val" / "images")
    annotations.write_text("")
    with pytest.raises(GratisError, match="200: has no validation images of the 3 classes"):
        read(tiny)
    assert not cache.exists()


def test_the_root_may_be_the_archive_itself_but_no_other_file(tiny, tmp_path):
    root = tmp_path / "root"
    zipped(tiny, root / "tiny-imagenet-200.zip")
    assert read(root / "tiny-imagenet-200.zip").fingerprint == read(tiny).fingerprint
    assert read(root / "tiny-imagenet-200.zip").name == "tiny-imagenet"
    (root / "other.zip").touch()
    with pytest.raises(GratisError, match=r"other\.zip: is a file; .* holds tiny-imagenet-200 or"):
        read(root / "other.zip")


def test_an_archive_that_may_not_be_read_is_named(tiny, tmp_path, monkeypatch):
    zipped(tiny, tmp_path / "root" / "tiny-imagenet-200.zip")
    denied(monkeypatch, Path, "open")
    with pytest.raises(GratisError, match=r"200\.zip: cannot be read \(Permission denied\)"):
        read(tmp_path / "root")


@pytest.mark.parametrize(("owner", "name"), [(os, "scandir"), (Path, "is_dir"), (Path, "is_file")])
def test_a_folder_that_may_not_be_read_is_named(tiny, monkeypatch, owner, name):
    denied(monkeypatch, owner, name)
    problem = r"tiny-imagenet-200.*: cannot be read \(Permission denied\); make it readable"
    with pytest.raises(GratisError, match=problem):
        read(tiny)


def test_more_classes_than_there_are_and_an_empty_root_are_refused(tiny, tmp_path):
    with pytest.raises(GratisError, match="tiny-imagenet has 3 classes, not 4"):
        read(tiny, classes=4)
    with pytest.raises(GratisError, match=r"cache: holds neither tiny-.*zip; point --data-root"):
        read(tmp_path / "cache")


def zipped(tiny: Path, path: Path) -> bytes:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(tiny.rglob("*")):
            archive.write(file, file.relative_to(tiny.parent))
    return path.read_bytes()


def test_an_archive_in_the_root_is_unpacked_beside_it(tiny, tmp_path):
    root = tmp_path / "root"
    zipped(tiny, root / "tiny-imagenet-200.zip")
    assert read(root).fingerprint == read(tiny).fingerprint
    assert sorted(path.name for path in root.iterdir()) == [
        "tiny-imagenet-200",
        "tiny-imagenet-200.zip",
    ]
    (root / "tiny-imagenet-200" / "wnids.txt").unlink()
    with pytest.raises(GratisError, match=r"tiny-imagenet-200: lacks wnids\.txt; delete"):
        read(root)


def test_an_archive_of_something_else_is_refused_and_leaves_nothing(tmp_path):
    with zipfile.ZipFile(tmp_path / "tiny-imagenet-200.zip", "w") as archive:
        archive.writestr("tiny-imagenet-200/readme.txt", "nothing here")
    with pytest.raises(GratisError, match=r"200\.zip: holds no wnids\.txt"):
        read(tmp_path)
    assert not (tmp_path / "tiny-imagenet-200").exists()


def test_without_a_root_it_is_downloaded_once(tiny, tmp_path, server, monkeypatch, cache):
    server.content = zipped(tiny, tmp_path / "served" / "a.zip")
    published = replace(
        tiny_imagenet.PUBLISHED,
        url=server.url("tiny-imagenet-200.zip"),
        md5=hashlib.md5(server.content).hexdigest(),
    )
    monkeypatch.setattr(tiny_imagenet, "PUBLISHED", published)
    server.cuts = [len(server.content) // 2]
    first = load(DataSettings(name="tiny-imagenet"))
    assert first.fingerprint == read(tiny).fingerprint
    assert load(DataSettings(name="tiny-imagenet")).fingerprint == first.fingerprint
    assert len(server.asked) == 2
    assert [path.name for path in (cache / "downloads").iterdir()] == ["tiny-imagenet-200"]


def test_of_several_processes_one_downloads_and_the_others_wait(
    tiny, tmp_path, server, monkeypatch
):
    server.content = zipped(tiny, tmp_path / "served" / "a.zip")
    published = replace(
        tiny_imagenet.PUBLISHED,
        url=server.url("tiny-imagenet-200.zip"),
        md5=hashlib.md5(server.content).hexdigest(),
    )
    monkeypatch.setattr(tiny_imagenet, "PUBLISHED", published)
    with ThreadPoolExecutor(4) as pool:
        both = [pool.submit(load, DataSettings(name="tiny-imagenet")) for _ in range(4)]
        assert {future.result().fingerprint for future in both} == {read(tiny).fingerprint}
    assert server.asked == [None]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real images: the whole data set, or a small tree made from its validation images."""
    if given := os.environ.get("GRATIS_TINY_IMAGENET"):
        return Path(given)
    if not PARTS.is_file():
        pytest.skip("needs real images: set GRATIS_TINY_IMAGENET to Tiny ImageNet's folder")
    root = tmp_path_factory.mktemp("real") / "tiny-imagenet-200"
    with tarfile.open(PARTS) as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}
    files = {name.removeprefix("tiny-imagenet-200/"): body for name, body in files.items()}
    wnids = files["wnids.txt"].decode().split()[:3]
    lines = files["val/val_annotations.txt"].decode().splitlines(keepends=True)
    lines = [line for line in lines if line.split("\t")[1] in wnids]
    for line in lines:
        name, wnid = line.split("\t")[:2]
        for path in (root / "val/images" / name, root / "train" / wnid / "images" / name):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[f"val/images/{name}"])
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("\n".join(wnids))
    (root / "words.txt").write_bytes(files["words.txt"])
    return root


def test_real_images_equal_their_decoding(real):
    dataset = read(real, classes=3)
    assert dataset.classes == ("Egyptian cat", "reel", "volleyball")
    assert len(dataset.validation) == 150
    folder = real if (real / "wnids.txt").is_file() else real / "tiny-imagenet-200"
    wnids = (folder / "wnids.txt").read_text().split()[:3]
    annotations = (folder / "val" / "val_annotations.txt").read_text().splitlines()
    listed = [line.split("\t")[:2] for line in annotations]
    expected = [(name, wnids.index(wnid)) for name, wnid in listed if wnid in wnids]
    for row, (name, label) in enumerate(expected):
        assert dataset.validation.labels[row] == label
        assert np.array_equal(
            dataset.validation.images[row], decoded(folder / "val" / "images" / name)
        )
