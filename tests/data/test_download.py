import hashlib
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


def test_a_file_arrives_whole_and_only_once(server, target):
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


def test_a_partial_file_that_is_complete_only_needs_its_name(server, target):
    target.parent.mkdir()
    partial(target).write_bytes(CONTENT)
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything_again(server, target):
    server.ranges = False
    server.cuts = [1000]
    download(server.url("file.zip"), MD5, target)
    assert target.read_bytes() == CONTENT


def test_a_connection_that_brings_nothing_more_is_given_up_and_what_came_is_kept(server, target):
    server.cuts = [1000, 0]
    with pytest.raises(GratisError, match=r"broke off; run again to go on, or .*--data-root"):
        download(server.url("file.zip"), MD5, target)
    assert partial(target).read_bytes() == CONTENT[:1000]
    assert not target.exists()


def test_wrong_bytes_are_refused_and_thrown_away(server, target):
    server.content = b"wrong" + CONTENT[5:]
    with pytest.raises(GratisError, match=f"another file .*not {MD5}.*--data-root"):
        download(server.url("file.zip"), MD5, target)
    assert list(target.parent.iterdir()) == []


def test_a_missing_page_is_one_clear_line(server, target):
    server.status = 404
    with pytest.raises(GratisError, match=r"cannot be downloaded \(HTTP 404\).*--data-root"):
        download(server.url("file.zip"), MD5, target)


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
