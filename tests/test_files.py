import errno
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from gratis import files
from gratis.errors import GratisError
from gratis.files import (
    appearing,
    locked,
    make_folder,
    read_json,
    replacing,
    write_json,
    write_text,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_replaces_the_file(tmp_path):
    path = tmp_path / "new" / "deep" / "file.txt"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new ü", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new ü"
    assert names_in(path.parent) == ["file.txt"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_after_a_failure_the_old_file_stands_and_nothing_else(tmp_path, failure):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(failure), replacing(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file.txt"]


def test_after_a_failure_a_new_file_is_absent(tmp_path):
    with pytest.raises(RuntimeError), replacing(tmp_path / "file.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert names_in(tmp_path) == []


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with (
        pytest.raises(GratisError, match=r"file\.txt: cannot be written \(No space left"),
        replacing(path) as temporary,
    ):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file.txt"]


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("x")
    with pytest.raises(GratisError, match="cannot be written"):
        write_text(blocker / "inner.txt", "y")
    with pytest.raises(GratisError, match="cannot be written"):
        make_folder(blocker / "inner")
    assert blocker.read_text() == "x"


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(GratisError, match="cannot be written"):
        write_text(tmp_path / "taken", "y")
    assert names_in(tmp_path) == ["taken"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_an_unwritable_folder_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(GratisError, match="cannot be written"):
            write_text(tmp_path / "file.txt", "y")
        with pytest.raises(GratisError, match="cannot be written"):
            make_folder(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_denied_write_is_an_error(tmp_path, monkeypatch):
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "write_text", deny)
    monkeypatch.setattr(Path, "touch", deny)
    with pytest.raises(GratisError, match=r"Permission denied.*choose another folder"):
        write_text(tmp_path / "file.txt", "y")
    with pytest.raises(GratisError, match=r"Permission denied.*choose another folder"):
        make_folder(tmp_path)
    assert names_in(tmp_path) == []


def test_a_folder_is_made_and_left_empty(tmp_path):
    assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert names_in(tmp_path / "a" / "b") == []


def test_json_survives(tmp_path):
    content = {"ü": [1, 2.5, None, {"a": True}]}
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json") == content


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_an_error(tmp_path, raw):
    (tmp_path / "x.json").write_bytes(raw)
    with pytest.raises(GratisError, match=r"x\.json: is not readable JSON .*; delete this file"):
        read_json(tmp_path / "x.json")
    with pytest.raises(GratisError, match="; restore it"):
        read_json(tmp_path / "x.json", "restore it")


def test_missing_json_is_an_error(tmp_path):
    with pytest.raises(GratisError, match="does not exist"):
        read_json(tmp_path / "x.json")
    with pytest.raises(GratisError, match="is not readable"):
        read_json(tmp_path)


KNOWN = frozenset({"a.txt"})


@pytest.mark.parametrize("replaces", [None, KNOWN])
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_folder_appears_whole_or_not_at_all(tmp_path, replaces, failure):
    folder = tmp_path / "deep" / "sets[1]"
    with pytest.raises(failure), appearing(folder, replaces=replaces) as made:
        (made / "a.txt").touch()
        raise failure
    assert names_in(folder.parent) == []
    with appearing(folder, replaces=replaces) as made:
        (made / "a.txt").touch()
        assert not folder.exists()
    assert names_in(folder) == ["a.txt"]
    assert names_in(folder.parent) == ["sets[1]"]


def test_a_folder_of_known_content_is_replaced_and_one_of_another_kept(tmp_path):
    folder = tmp_path / "sets"
    for text in ("old", "new"):
        with appearing(folder, replaces=KNOWN) as made:
            (made / "a.txt").write_text(text)
    assert (folder / "a.txt").read_text() == "new"
    (folder / "thesis.tex").touch()
    with (
        pytest.raises(GratisError, match=r"already holds thesis\.tex"),
        appearing(folder, replaces=KNOWN),
    ):
        pass
    with (
        pytest.raises(GratisError, match="is not a folder"),
        appearing(folder / "a.txt", replaces=KNOWN),
    ):
        pass
    assert names_in(folder) == ["a.txt", "thesis.tex"]
    assert names_in(tmp_path) == ["sets"]


def test_a_folder_that_another_process_has_made_in_the_meantime_stays(tmp_path):
    folder = tmp_path / "store"
    with appearing(folder) as slow:
        (slow / "slow").touch()
        with appearing(folder) as fast:
            (fast / "fast").touch()
    assert names_in(folder) == ["fast"]
    assert names_in(tmp_path) == ["store"]


def killed_while(body, folder):
    """Run ``body`` in a process of its own, which is killed when it is done."""
    source = f"import os, signal\nfrom pathlib import Path\nfrom gratis.files import *\n{body}\n"
    source += "os.kill(os.getpid(), signal.SIGKILL)"
    process = subprocess.run([sys.executable, "-c", source], cwd=folder)
    assert process.returncode == -signal.SIGKILL


def test_what_a_killed_process_left_is_swept(tmp_path):
    killed_while('made = appearing(Path("sets[1]")); made.__enter__()', tmp_path)
    assert len(names_in(tmp_path)) == 2  # the folder and its owner's lock
    with appearing(tmp_path / "sets[1]", replaces=frozenset()):
        pass
    assert names_in(tmp_path) == ["sets[1]"]


def test_what_a_killed_process_had_moved_aside_comes_back(tmp_path):
    folder = tmp_path / "sets"
    folder.mkdir()
    (folder / "a.txt").touch()
    killed_while(
        "import gratis.files as files\n"
        "files._rename = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        'with appearing(Path("sets"), replaces=frozenset(["a.txt"])): pass',
        tmp_path,
    )
    assert not folder.exists()
    with pytest.raises(ZeroDivisionError), appearing(folder, replaces=KNOWN):
        raise ZeroDivisionError
    assert names_in(tmp_path) == ["sets"]
    assert names_in(folder) == ["a.txt"]


def test_what_another_process_is_making_is_left_alone(tmp_path):
    with appearing(tmp_path / "sets", replaces=frozenset()) as slow:
        with appearing(tmp_path / "sets", replaces=frozenset()):
            pass
        assert slow.exists()


def test_the_earlier_folder_comes_back_where_the_new_one_cannot(tmp_path, monkeypatch):
    folder = tmp_path / "sets"
    folder.mkdir()
    (folder / "a.txt").touch()

    def refuse(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files, "_rename", refuse)
    with pytest.raises(GratisError, match="cannot be written"), appearing(folder, replaces=KNOWN):
        pass
    assert names_in(tmp_path) == ["sets"]
    assert names_in(folder) == ["a.txt"]


def test_a_locked_folder_is_refused_until_its_owner_is_done(tmp_path):
    folder = tmp_path / "run"
    with locked(folder):
        (folder / "kept").touch()
        with pytest.raises(GratisError, match=r"run: another process is at work"), locked(folder):
            pass
    with locked(folder):
        pass
    assert (folder / "kept").exists()


def test_a_killed_owner_holds_no_lock_and_what_it_left_is_removed(tmp_path):
    killed_while(
        'kept = locked(Path("run")); kept.__enter__()\n'
        'half = replacing(Path("run/file")); half.__enter__().touch()',
        tmp_path,
    )
    assert any(name.endswith(".partial") for name in names_in(tmp_path / "run"))
    with locked(tmp_path / "run"):
        assert names_in(tmp_path / "run") == [".lock"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_locked_folder_in_which_nothing_came_to_be_goes(fails, tmp_path):
    with suppress(ZeroDivisionError), locked(tmp_path / "a" / "b"):
        if fails:
            raise ZeroDivisionError
    assert names_in(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_not_locked(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GratisError, match="cannot be written"), locked(tmp_path / "file" / "run"):
        pass


def test_a_folder_that_cannot_be_written_names_the_remedy(tmp_path):
    with (
        pytest.raises(GratisError, match=r"sets: cannot be written \(No space left.*; pray"),
        appearing(tmp_path / "sets", "pray"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names_in(tmp_path) == []
