"""A full disk gives one clear line and leaves nothing half-written; a rerun succeeds.

A limit on the size of files makes every write fail in turn, as a full disk does.
"""

import hashlib
import zipfile
from collections.abc import Callable

import pytest

from full_disk import at_most
from gratis.data import DataSettings, load, store
from gratis.data.archive import extract
from gratis.data.download import download
from gratis.errors import GratisError
from gratis.files import atomic_folder

LARGE = 2**40


def refused(call: Callable[[], object], size: int) -> str | None:
    """Return the error message of a call with files limited to ``size`` bytes, or ``None``."""
    with at_most(size):
        try:
            call()
        except GratisError as error:
            assert "\n" not in str(error)
            return str(error)
    return None


@pytest.mark.parametrize(
    ("site", "call", "size"),
    [
        *[
            (site, call, size)
            for site in ("write_images", "write_array")
            for call in (0, 1)
            for size in (0, 100, 140)
        ],
        *[("_describe", 0, size) for size in (0, 50)],
    ],
)
def test_any_file_of_a_store_may_fill_the_disk(pets, cache, monkeypatch, site, call, size):
    settings = DataSettings(name="folder", root=pets, size=16)
    write, calls = getattr(store, site), []

    def write_on_a_full_disk(*arguments: object) -> object:
        calls.append(arguments)
        with at_most(size if len(calls) == call + 1 else LARGE):
            return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(store, site, write_on_a_full_disk)
        with pytest.raises(GratisError) as caught:
            load(settings)
    (name,) = {path.name for path in (cache / "locks").iterdir()}
    assert str(caught.value) == (
        f"{cache / 'decoded' / name.removesuffix('.lock')}: cannot be written (File too large); "
        "set the environment variable GRATIS_CACHE to a folder that can be written"
    )
    assert list((cache / "decoded").iterdir()) == []
    assert len(load(settings).train) == 3


def test_unpacking_leaves_nothing(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("small", "large"):
            archive.writestr(name, bytes(10_000 if name == "large" else 10))

    def unpack() -> None:
        with atomic_folder(tmp_path / "into") as folder:
            extract(tmp_path / "a.zip", folder, top="")

    line = refused(unpack, 5000)
    assert line == f"{tmp_path / 'into'}: cannot be written (File too large); choose another folder"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    unpack()
    assert (tmp_path / "into" / "large").stat().st_size == 10_000


def test_a_download_keeps_what_arrived_and_resumes_there(server, tmp_path):
    server.content = bytes(range(256)) * 3000
    md5, path = hashlib.md5(server.content).hexdigest(), tmp_path / "new" / "a.zip"
    line = refused(lambda: download(server.url("a.zip"), md5, path), 300_000)
    assert line == (
        f"{path}: cannot be written (File too large); set the environment variable GRATIS_CACHE "
        "to a folder that can be written"
    )
    (partial,) = path.parent.iterdir()
    assert partial.name == "a.zip.partial"
    assert server.content.startswith(partial.read_bytes())
    download(server.url("a.zip"), md5, path)
    assert path.read_bytes() == server.content
    assert server.asked[-1] == f"bytes={300_000}-"


def test_a_full_disk_beside_a_damaged_store_gives_the_same_line(pets, cache):
    settings = DataSettings(name="folder", root=pets, size=16)
    fingerprint = load(settings).fingerprint
    (folder,) = (cache / "decoded").iterdir()
    (folder / "train-images.npy").write_bytes(b"")
    line = refused(lambda: load(settings), 1000)
    assert line is not None and "cannot be written (File too large)" in line
    assert list((cache / "decoded").iterdir()) == []
    assert load(settings).fingerprint == fingerprint


@pytest.mark.parametrize("size", [0, 130])
def test_the_disk_is_full_from_the_start(pets, cache, size):
    settings = DataSettings(name="folder", root=pets, size=16)
    assert refused(lambda: load(settings), size)
    assert load(settings).classes == ("cat", "dog")
