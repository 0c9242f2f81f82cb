import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gratis.data.archive import extract
from gratis.errors import GratisError
from gratis.files import atomic_folder

OUTSIDE = ["../evil", "top/../../evil", "/evil", "C:/evil", "C:evil", "..\\evil", "\\\\host\\evil"]


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def make_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(params=[(make_zip, "a.zip"), (make_tar, "a.tar.gz")], ids=["zip", "tar"])
def make(request, tmp_path):
    maker, name = request.param
    return lambda files: maker(tmp_path / name, files)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_files_are_unpacked_without_the_leading_folder(make, folder):
    extract(make({"top/a/b": b"1", "top/c": b"", "d": b"2"}), folder, top="top")
    assert tree(folder) == {"a/b": b"1", "c": b"", "d": b"2"}


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_is_written_outside(make, folder, tmp_path, name):
    archive = make({name: b"evil"})
    with pytest.raises(GratisError, match=r"a\.(zip|tar\.gz): holds .* which lies outside"):
        extract(archive, folder, top="top")
    assert set(tmp_path.iterdir()) == {archive, folder}
    assert tree(folder) == {}


def test_a_link_in_a_zip_is_refused(tmp_path, folder):
    link = zipfile.ZipInfo("top/link")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(GratisError, match=r"a\.zip: holds a link, .*'top/link'"):
        extract(tmp_path / "a.zip", folder, top="top")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_a_link_or_device_in_a_tar_is_refused(tmp_path, folder, kind):
    member = tarfile.TarInfo("top/link")
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(member)
    with pytest.raises(GratisError, match=r"a\.tar: holds a link"):
        extract(tmp_path / "a.tar", folder, top="top")
    assert tree(folder) == {}


def test_a_sparse_file_in_a_tar_is_refused(tmp_path, folder):
    member = tarfile.TarInfo("top/hole")
    member.pax_headers = {"GNU.sparse.map": "0,4096", "GNU.sparse.size": "1"}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member)
    with pytest.raises(GratisError, match=r"a\.tar: holds a .*sparse file \('top/hole'\)"):
        extract(tmp_path / "a.tar", folder, top="top")
    assert tree(folder) == {}


def test_the_total_size_is_capped(make, folder):
    archive = make({"a": bytes(600), "b": bytes(600)})
    with pytest.raises(GratisError, match="unpacks to more than 1000 bytes"):
        extract(archive, folder, top="top", limit=1000)
    extract(archive, folder / "another", top="top", limit=1200)


def test_a_truncated_archive_is_named(make, folder):
    archive = make({f"{number}": bytes(range(256)) * number for number in range(50)})
    archive.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(GratisError, match=r"a\.(zip|tar\.gz): is a broken archive"):
        extract(archive, folder, top="top")


def test_a_damaged_member_is_named(tmp_path, folder):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as stored:
        stored.writestr("a", b"some content")
    archive.write_bytes(archive.read_bytes().replace(b"some content", b"same content"))
    with pytest.raises(GratisError, match=r"a\.zip: is a broken archive .*CRC"):
        extract(archive, folder, top="top")


def test_a_changed_byte_in_a_compressed_tar_is_named(tmp_path, folder):
    archive = make_tar(tmp_path / "a.tar.gz", {"a": bytes(range(256)) * 40})
    content = bytearray(archive.read_bytes())
    # The sum of all that was compressed, in the last eight bytes.
    content[-6] ^= 1
    archive.write_bytes(content)
    with pytest.raises(GratisError, match=r"a\.tar\.gz: is a broken archive .*CRC"):
        extract(archive, folder, top="top")


def test_an_endless_tail_is_refused(tmp_path, folder):
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as content:
        content.addfile(tarfile.TarInfo("a"))
    with gzip.open(archive, "ab") as content:
        content.write(bytes(3 * 2**20))
    with pytest.raises(GratisError, match=r"a\.tar\.gz: is a broken archive .*after its end"):
        extract(archive, folder, top="top")


TWICE = [["a", "a"], ["top/a", "a"], ["a", "a/b"], ["a/b", "a"], ["a/b/c", "a/b"], ["a/./b", "a/b"]]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", TWICE, ids=" ".join)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_two_members_of_the_same_name_are_refused(tmp_path, folder, kind, names):
    if kind == "zip":
        archive = tmp_path / "a.zip"
        with zipfile.ZipFile(archive, "w") as content:
            for name in names:
                content.writestr(name, name)
    else:
        archive = tmp_path / "a.tar.gz"
        with tarfile.open(archive, "w:gz") as content:
            for name in names:
                content.addfile(tarfile.TarInfo(name))
    with pytest.raises(GratisError) as caught:
        extract(archive, folder, top="top")
    assert str(caught.value) == (
        f"{archive}: holds {names[1]!r} twice, or as a file and as a folder; "
        "delete it and fetch the original archive"
    )


def test_names_that_differ_in_case_are_two_files_if_the_system_distinguishes_them(make, folder):
    (folder / "probe").touch()
    apart = not (folder / "PROBE").exists()
    archive = make({"a": b"1", "A": b"2"})
    if apart:
        extract(archive, folder, top="top")
        assert tree(folder) == {"probe": b"", "a": b"1", "A": b"2"}
    else:
        with pytest.raises(GratisError, match="holds 'A' twice"):
            extract(archive, folder, top="top")


def test_an_encrypted_archive_is_named(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", {"a": b"secret"})
    content = bytearray(archive.read_bytes())
    # The first bit of the flags, in the member's own header and in the directory.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(GratisError, match=r"a\.zip: is encrypted \('a'\); delete it"):
        extract(archive, folder, top="top")


def test_a_bomb_is_refused_before_it_is_written(make, folder):
    archive = make({"a": b"small", "bomb": bytes(50 * 2**20)})
    assert archive.stat().st_size < 100_000
    with pytest.raises(GratisError, match="unpacks to more than 3000000 bytes"):
        extract(archive, folder, top="top", limit=3_000_000)
    assert sum(map(len, tree(folder).values())) <= 3_000_000


def test_an_impossible_file_name_is_refused(tmp_path, folder):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a")
        member.pax_headers = {"path": "top/a\0b"}
        archive.addfile(member)
    with pytest.raises(GratisError, match=r"gz: holds 'top/a\\x00b', which lies outside"):
        extract(tmp_path / "a.tar.gz", folder, top="top")


def test_control_characters_in_a_name_are_escaped(make, folder):
    with pytest.raises(GratisError) as caught:
        extract(make({"../\x1b[2J\nfine": b""}), folder, top="top")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("seed", range(5))
def test_changed_bytes_give_one_line_or_the_content(make, folder, seed):
    files = {f"top/{number}": bytes([number]) * 300 for number in range(8)}
    archive = make(files)
    sound, random = archive.read_bytes(), np.random.default_rng(seed)
    for attempt in range(40):
        content = bytearray(sound)
        for place in random.integers(0, len(content), 3):
            content[place] = random.integers(0, 256)
        archive.write_bytes(content)
        into = folder / str(attempt)
        try:
            extract(archive, into, top="top")
        except GratisError as error:
            assert str(error).startswith(f"{archive}: ") and "\n" not in str(error)
        else:
            assert set(tree(into).values()) <= set(files.values())


def test_a_folder_that_cannot_be_written_is_not_reported_as_a_broken_archive(make, folder):
    (folder / "file").touch()
    archive = make({"a/b": b"1"})
    with (
        pytest.raises(GratisError, match=r"into: cannot be written .*; choose another folder"),
        atomic_folder(folder / "file" / "into") as into,
    ):
        extract(archive, into, top="top")
