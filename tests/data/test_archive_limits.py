"""Small archives that would take much memory, make many files, or nest folders deeply."""

import gzip
import io
import os
import resource
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from gratis.data import archive as module
from gratis.data.archive import extract
from gratis.errors import GratisError

UNPACK = """
import sys
from pathlib import Path
from gratis.data.archive import extract
from gratis.errors import GratisError
for archive in sys.argv[2:]:
    try:
        extract(Path(archive), Path(sys.argv[1]), top="top")
    except GratisError as error:
        print(error)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def header(kind: bytes, size: int) -> bytes:
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def long_name(path: Path, size: int) -> None:
    with gzip.open(path, "wb", 1) as stream:
        stream.write(header(tarfile.GNUTYPE_LONGNAME, size) + b"a" * size)
        stream.write(tarfile.TarInfo("a").tobuf())


def many_long_names(path: Path, size: int) -> None:
    """Names of the greatest length that is read, of folders, which are not written."""
    folder = tarfile.TarInfo("a")
    folder.type = tarfile.DIRTYPE
    with gzip.open(path, "wb", 1) as stream:
        name = header(tarfile.GNUTYPE_LONGNAME, 2**15) + b"d/" * 2**14
        for _ in range(size // 2**15):
            stream.write(name + folder.tobuf())


def long_pax(path: Path, size: int) -> None:
    with gzip.open(path, "wb", 1) as stream:
        record = f"{size} comment=".encode()
        stream.write(header(tarfile.XHDTYPE, size) + record.ljust(size - 1, b"a") + b"\n")
        stream.write(tarfile.TarInfo("a").tobuf())


def global_pax(path: Path, size: int) -> None:
    """Every global header adds a key that is kept until the end."""
    with gzip.open(path, "wb", 1) as stream:
        for number in range(size // 2**15):
            text = f"{2**15} key{number}=".encode().ljust(2**15 - 1, b"a") + b"\n"
            stream.write(header(tarfile.XGLTYPE, 2**15) + text + tarfile.TarInfo("a").tobuf())


def test_headers_take_little_memory(tmp_path, folder):
    archives = []
    for make in (long_name, many_long_names, long_pax, global_pax):
        archives.append(tmp_path / f"{make.__name__}.tar.gz")
        make(archives[-1], 2**29)
        assert archives[-1].stat().st_size < 4_000_000

    def limit():
        resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))

    done = subprocess.run(
        [sys.executable, "-c", UNPACK, folder, *archives],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for archive, line in zip(archives, done.stdout.splitlines(), strict=True):
        assert str(archive) in line and "delete it" in line and len(line) < 1000
    assert len(list(folder.iterdir())) <= 1


def test_the_number_of_global_headers_is_limited(tmp_path, folder):
    """Each is copied to all members after it."""
    archive = tmp_path / "a.tar.gz"
    with gzip.open(archive, "wb") as stream:
        for number in range(101):
            text = f"17 key{number:03}=abcdef\n".encode()
            assert len(text) == 17
            stream.write(header(tarfile.XGLTYPE, 17) + text.ljust(512, b"\0"))
            stream.write(tarfile.TarInfo(f"{number}").tobuf())
        stream.write(bytes(1024))
    with pytest.raises(GratisError, match="too many global headers"):
        extract(archive, folder, top="top")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_the_number_of_members_is_limited(kind, tmp_path, folder, monkeypatch):
    monkeypatch.setattr(module, "_MOST", 50)
    names = [f"top/{number}" for number in range(51)]
    if kind == "zip":
        archive = tmp_path / "a.zip"
        with zipfile.ZipFile(archive, "w") as content:
            for name in names:
                content.writestr(name, b"")
    else:
        archive = tmp_path / "a.tar.gz"
        with tarfile.open(archive, "w:gz") as content:
            for name in names:
                content.addfile(tarfile.TarInfo(name))
    with pytest.raises(GratisError, match="has more than 50 members; delete it and fetch"):
        extract(archive, folder, top="top")
    assert len(list(folder.iterdir())) <= 50


def test_a_limit_above_the_largest_data_set(tmp_path):
    """Tiny ImageNet has 100,000 training images, a file beside each class, and folders."""
    assert module._MOST > 121_000


@pytest.mark.parametrize("levels", [17, 1_500])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_the_depth_is_limited(kind, levels, tmp_path, folder):
    name = "a/" * levels + "file"
    if kind == "zip":
        archive = tmp_path / "a.zip"
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr(name, b"")
    else:
        archive = tmp_path / "a.tar.gz"
        with tarfile.open(archive, "w:gz", format=tarfile.GNU_FORMAT) as content:
            content.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(GratisError, match="nested too deeply") as found:
        extract(archive, folder, top="top")
    assert len(str(found.value)) < 500 and not list(folder.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="named pipes of POSIX")
def test_a_named_pipe_is_not_waited_for(tmp_path, folder):
    pipes = [tmp_path / "a.zip", tmp_path / "a.tar.gz"]
    for pipe in pipes:
        os.mkfifo(pipe)
    done = subprocess.run(
        [sys.executable, "-c", UNPACK, folder, *pipes],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.count("not a regular file") == 2, done.stderr
