import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from gratis.data.archive import extract
from gratis.errors import GratisError

OUTSIDE = ["../evil", "top/../../evil", "/evil", "C:/evil", "C:evil", "..\\evil", "\\\\host\\evil"]


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
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
    with pytest.raises(GratisError, match=r"a\.zip: holds a link .*'top/link'"):
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
