import hashlib
import os
import re
import socket
from pathlib import Path

import pytest

from gratis.data.download import download
from gratis.errors import GratisError

CONTENT = bytes(range(256)) * 3000
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def target(tmp_path: Path, server) -> Path:
    server.content = CONTENT
    return tmp_path / "new" / "file.zip"


def partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def test_a_file_is_downloaded_completely_and_only_once(server, target):
    for _ in range(2):
        download(server.url("file.zip"), MD5, target)
        assert target.read_bytes() == CONTENT
    assert server.asked == [None]
    assert not partial(target).exists()


def test_a_cut_connection_is_resumed_where_it_broke_off(server, target):
    server.cuts = [100_000, 200_000]
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=300000-"]


def test_an_earlier_run_s_partial_file_is_used(server, target):
    target.parent.mkdir()
    partial(target).write_bytes(CONTENT[:5000])
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=5000-"]


def test_a_partial_file_that_is_complete_is_only_renamed(server, target):
    target.parent.mkdir()
    partial(target).write_bytes(CONTENT)
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything_again(server, target):
    server.ranges = False
    server.cuts = [1000]
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT


def test_a_connection_without_new_bytes_is_given_up_and_the_partial_file_kept(server, target):
    server.cuts = [1000, 0]
    with pytest.raises(GratisError, match=r"broke off; run again to resume, or .*--data-root"):
        download(server.url("file.zip"), MD5, target)
    assert partial(target).read_bytes() == CONTENT[:1000]
    assert not target.exists()


def test_wrong_bytes_are_refused_and_deleted(server, target):
    server.content = b"wrong" + CONTENT[5:]
    with pytest.raises(GratisError, match=f"not the published one .*not {MD5}.*--data-root"):
        download(server.url("file.zip"), MD5, target)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("status", [404, 410, 429, 500, 503, 302, 307, 416])
@pytest.mark.parametrize("have", [0, 1000])
def test_an_http_error_is_one_clear_line_and_keeps_the_partial_file(server, target, status, have):
    server.status = status
    target.parent.mkdir()
    partial(target).write_bytes(CONTENT[:have])
    if (status, have) == (416, 1000):
        problem, kept = f"not the published one .*not {MD5}", []
    else:
        problem, kept = rf"cannot be downloaded \(HTTP {status}\)", [partial(target)]
    with pytest.raises(GratisError, match=rf"{problem}.*--data-root") as caught:
        download(server.url("file.zip"), MD5, target)
    assert "\n" not in str(caught.value)
    assert list(target.parent.iterdir()) == kept
    assert not kept or partial(target).read_bytes() == CONTENT[:have]
    server.status = 200
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT


def test_a_silent_server_is_asked_again_and_the_partial_file_kept(server, target, monkeypatch):
    monkeypatch.setattr("gratis.data.download._TIMEOUT_SECONDS", 0.1)
    server.stalls, server.cuts = True, [1000, 70_000, 0]
    with pytest.raises(GratisError, match="broke off; run again to resume"):
        download(server.url("file.zip"), MD5, target)
    assert partial(target).read_bytes() == CONTENT[:71_000]
    assert server.asked == [None, "bytes=1000-", "bytes=71000-"]
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT


def test_a_server_that_never_finishes_is_given_up(server, target):
    server.cuts = [10] * 1000
    with pytest.raises(GratisError, match="broke off; run again to resume"):
        download(server.url("file.zip"), MD5, target)
    assert len(server.asked) == 20
    assert partial(target).read_bytes() == CONTENT[:200]


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("lengthless", [True, False])
def test_a_wrong_content_length_does_not_matter(server, target, ranges, lengthless):
    server.lie, server.ranges, server.lengthless = 1000, ranges, lengthless
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT


def test_a_content_length_that_is_too_short_is_refused(server, target):
    server.lie = -1000
    with pytest.raises(GratisError, match=f"not the published one .*not {MD5}.*run again"):
        download(server.url("file.zip"), MD5, target)
    assert list(target.parent.iterdir()) == []
    server.lie = 0
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("shift", [-3000, 7])
def test_another_range_than_requested_is_put_in_its_place_or_ignored(server, target, shift):
    server.cuts, server.shift = [5000], shift
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=5000-"] + [None] * (shift > 0)


def test_a_partial_file_of_another_version_is_deleted(server, target):
    target.parent.mkdir()
    partial(target).write_bytes(b"old" * 1000)
    with pytest.raises(GratisError, match=f"not the published one .*not {MD5}"):
        download(server.url("file.zip"), MD5, target)
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT


def test_a_partial_file_longer_than_the_file_is_deleted(server, target):
    target.parent.mkdir()
    partial(target).write_bytes(CONTENT + b"more")
    with pytest.raises(GratisError, match=f"not the published one .*not {MD5}"):
        download(server.url("file.zip"), MD5, target)
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("lengthless", [True, False])
def test_an_endless_file_does_not_fill_the_disk(server, target, monkeypatch, lengthless):
    monkeypatch.setattr("gratis.data.download._LARGEST", 300_000)
    server.lengthless = lengthless
    with pytest.raises(GratisError, match=r"sends more than 300000 bytes; fetch it on another"):
        download(server.url("file.zip"), MD5, target)
    assert partial(target).stat().st_size == 0


def test_the_file_is_on_the_disk_before_it_appears(server, target, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (events.append("flushed"), fsync(number)))
    monkeypatch.setattr(
        Path, "replace", lambda path, to: (events.append("appears"), replace(path, to))[1]
    )
    download(server.url("file.zip"), MD5, target)
    assert events == ["flushed", "appears", "flushed"]


def test_offline_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file.zip"
    with pytest.raises(GratisError, match=f"{re.escape(url)}: cannot be .*--data-root") as caught:
        download(url, MD5, tmp_path / "file.zip")
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_names_the_variable(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(GratisError, match="GRATIS_CACHE"):
        download(server.url("file.zip"), MD5, tmp_path / "file" / "file.zip")
