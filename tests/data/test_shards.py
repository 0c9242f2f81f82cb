"""Webdataset shards that are unusual or broken: every error names the shard and the member."""

import gzip
import io
import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from gratis.data import shard_index
from gratis.data.patterns import by_split, find_shards
from gratis.data.shard_index import index_once, index_shard
from gratis.errors import GratisError


def write(path: Path, members: dict[str, bytes], **facts: object) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in facts.get(name, {}).items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def index(tmp_path):
    def listed(members, columns=None, **facts):
        return index_shard(write(tmp_path / "a.tar", members, **facts), columns, Counter())

    return listed


def test_members_of_a_sample_need_not_be_neighbours_and_others_are_counted(tmp_path):
    members = {
        "d/1.jpg": b"one",
        "d/2.cls": b"dog",
        "d/1.seg.png": b"mask",
        "d/1.json": b'{"id": 7, "label": "cat"}',
        ".hidden.jpg": b"x",
        "d/2.JPG": b"two!",
        "notes.txt": b"no image",
    }
    left_out = Counter()
    shard = write(tmp_path / "a.tar", members)
    found = index_shard(shard, None, left_out)
    assert [(m.name, m.class_name, m.size) for m in found] == [
        ("d/1.jpg", "cat", 3),
        ("d/2.JPG", "dog", 4),
    ]
    content = shard.read_bytes()
    assert [content[m.offset : m.offset + m.size] for m in found] == [b"one", b"two!"]
    assert left_out == {".seg.png": 1}


def test_a_shard_is_indexed_once_and_again_when_it_changes(tmp_path, cache, monkeypatch):
    shard = write(tmp_path / "a.tar", {"1.jpg": b"x", "1.cls": b"a", "1.xyz": b"other"})
    expected = index_shard(shard, None, Counter())
    opened, open_tar = [], shard_index.open_tar

    def counted(path):
        opened.append(path)
        return open_tar(path)

    monkeypatch.setattr(shard_index, "open_tar", counted)

    def index(columns=None):
        left_out = Counter()
        members = index_once(shard, columns, left_out)
        opened.append(len(left_out))
        return members

    assert index() == index() == expected
    assert opened == [shard, 1, 1]
    (stored,) = (cache / "shards").iterdir()
    for damage in (b"", b'{"members": [[1]]}', b"[" * 100_000):
        stored.write_bytes(damage)
        opened.clear()
        assert index() == expected and opened == [shard, 1]
    os.utime(shard, ns=(1, 1))
    index()
    index(("jpg", "cls"))
    assert opened[2:] == [shard, 1, shard, 1]


def test_members_and_keys_can_be_named(index):
    members = {
        "1.left.png": b"l",
        "1.right.png": b"r",
        "1.json": b'{"label": "a", "class": "b", "breed": 7}',
        "1.kind": b"c",
    }
    (found,) = index(members, ("right.png", "breed"))
    assert (found.name, found.class_name) == ("1.right.png", "7")
    (found,) = index(members, ("left.png", "kind"))
    assert (found.name, found.class_name) == ("1.left.png", "c")


BAD = {
    "two images": ({"1.jpg": b"x", "1.png": b"y"}, "'1.jpg' is one of 2 images of a sample; name"),
    "no label": ({"1.jpg": b"x"}, r"'1.jpg' has no member beside it .* \(\.cls, \.json, \.txt\)"),
    "an empty label": ({"1.jpg": b"x", "1.cls": b" \n"}, "'1.jpg' has an empty label"),
    "a long label": ({"1.jpg": b"x", "1.txt": b"x" * 70_000}, "'1.txt' is longer than 65536 by"),
    "a label of bytes": ({"1.jpg": b"x", "1.cls": b"\xff"}, "'1.cls' is not UTF-8"),
    "no JSON": ({"1.jpg": b"x", "1.json": b"{"}, "'1.jpg' has a .json beside it that is no JSON"),
    "deep JSON": ({"1.jpg": b"x", "1.json": b"[" * 60_000}, "a .json beside it that is no JSON"),
    "two keys": (
        {"1.jpg": b"x", "1.json": b'{"label": 1, "class": 2}'},
        r"'1.jpg' has a .json beside it without one key for the class \(its keys: .*label, class",
    ),
    "a long name": ({"x" * 1001 + ".jpg": b"x"}, "has too long a name"),
}


@pytest.mark.parametrize(("members", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_member_is_one_clear_line(members, message, index, tmp_path):
    with pytest.raises(GratisError, match=message) as caught:
        index(members)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'a.tar'}: its member ")
    assert "\n" not in text and len(text) < 600


def test_links_are_refused(index):
    with pytest.raises(GratisError, match=r"'1.jpg' is a link, a device or a sparse file"):
        index({"1.jpg": b""}, **{"1.jpg": {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}})


def test_a_member_that_comes_twice_is_refused(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("1.jpg"))
    with pytest.raises(GratisError, match=r"'1.jpg' is there twice"):
        index_shard(path, None, Counter())


def test_a_broken_shard_is_one_clear_line(tmp_path):
    whole = write(tmp_path / "a.tar", {"1.jpg": b"x" * 2000, "1.cls": b"a"}).read_bytes()
    broken = tmp_path / "b.tar"
    for content, message in (
        (whole[:1800], r"is a broken archive \(.*\); delete it and fetch the original"),
        # Between two members, where an archive that goes on may not end.
        (whole[: 512 + 2048], "is cut short; fetch it again"),
        (b"no archive" * 100, "is a broken archive"),
        (b"", "is a broken archive"),
        (gzip.compress(whole), "is compressed; decompress it, as with gunzip"),
    ):
        broken.write_bytes(content)
        with pytest.raises(GratisError, match=f"b.tar: {message}") as caught:
            index_shard(broken, None, Counter())
        assert "\n" not in str(caught.value)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("x-{008..011}.tar", ["x-008.tar", "x-009.tar", "x-010.tar", "x-011.tar"]),
        ("x-{11..9}.tar", ["x-11.tar", "x-10.tar", "x-9.tar"]),
        ("{b,a}/{1,2}.tar", ["b/1.tar", "b/2.tar", "a/1.tar", "a/2.tar"]),
        ("{x-{008..009},b/1}.tar", ["x-008.tar", "b/1.tar", "x-009.tar"]),
        ("x-0*.tar", ["x-008.tar", "x-009.tar", "x-010.tar", "x-011.tar"]),
        ("{a/*,a/1}.tar", ["a/1.tar", "a/2.tar"]),
    ],
)
def test_a_pattern_means_files(tmp_path, pattern, expected):
    touch(tmp_path, *(f"x-{n:03}.tar" for n in range(8, 12)), "x-9.tar", "x-10.tar", "x-11.tar")
    touch(tmp_path, "a/1.tar", "a/2.tar", "b/1.tar", "b/2.tar")
    assert find_shards(tmp_path / pattern) == [tmp_path / name for name in expected]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("x-{0..3}.tar", "names files that do not exist: .*x-1.tar, .*x-2.tar, .*x-3.tar; write"),
        ("y-*.tar", "matches no file; write a path such as"),
        ("{0..999}{0..999}.tar", "means more than 100,000 files"),
        ("{0..999999999}.tar", "means more than 100,000 files"),
    ],
)
def test_a_pattern_without_files_is_one_clear_line(tmp_path, pattern, message):
    touch(tmp_path, "x-0.tar")
    with pytest.raises(GratisError, match=message) as caught:
        find_shards(tmp_path / pattern)
    assert str(caught.value).startswith(f"{tmp_path / pattern}: ")


def test_the_split_of_a_shard_is_a_word_in_its_name():
    def split(*names: str) -> dict[str, list[str]]:
        found = by_split(Path("/p"), [Path("/test", name) for name in names])
        return {name: [path.name for path in paths] for name, paths in found.items()}

    assert split("train-0.tar", "training_1.tar") == {"train": ["train-0.tar", "training_1.tar"]}
    assert split("a-val-0.tar", "b.TRAIN.tar").keys() == {"val", "train"}
    # That of the folder, where the file has none.
    assert split("constrained-0.tar").keys() == {"test"}
    assert by_split(Path("/p"), [Path("/data/0.tar")]) == {"train": [Path("/data/0.tar")]}
    with pytest.raises(GratisError, match=r"has the words of the splits train and val; rename it"):
        split("train-val-0.tar")
    with pytest.raises(GratisError, match=r"names shards of splits, and 0.tar without one; put"):
        by_split(Path("/p"), [Path("/a/train-0.tar"), Path("/a/0.tar")])
