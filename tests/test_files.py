import errno
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from gratis import regular_files
from gratis.errors import GratisError
from gratis.files import atomic_file, atomic_folder, make_folder, write_text
from gratis.json_files import read_json, write_json
from gratis.locks import locked
from gratis.results.arrays import load_arrays


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_atomic_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "new" / "deep" / "file.txt"
    write_text(path, "old")
    with atomic_file(path) as temporary:
        temporary.write_text("new ü", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new ü"
    assert names_in(path.parent) == ["file.txt"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_after_a_failure_only_the_old_file_remains(tmp_path, failure):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(failure), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file.txt"]


def test_after_a_failure_a_new_file_is_absent(tmp_path):
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "file.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert names_in(tmp_path) == []


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with (
        pytest.raises(GratisError, match=r"file\.txt: cannot be written \(No space left"),
        atomic_file(path) as temporary,
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
    monkeypatch.setattr(tempfile, "TemporaryFile", deny)
    with pytest.raises(GratisError, match=r"Permission denied.*choose another folder"):
        write_text(tmp_path / "file.txt", "y")
    with pytest.raises(GratisError, match=r"Permission denied.*choose another folder"):
        make_folder(tmp_path)
    assert names_in(tmp_path) == []


def test_a_folder_is_created_and_left_empty(tmp_path):
    assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert names_in(tmp_path / "a" / "b") == []


def test_json_round_trips(tmp_path):
    content = {"ü": [1, 2.5, None, {"a": True}]}
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json") == content


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_invalid_json_is_an_error(tmp_path, raw):
    (tmp_path / "x.json").write_bytes(raw)
    with pytest.raises(GratisError, match=r"x\.json: is not readable JSON .*; delete this file"):
        read_json(tmp_path / "x.json")
    with pytest.raises(GratisError, match="; restore it"):
        read_json(tmp_path / "x.json", "restore it")


def test_a_pipe_in_place_of_json_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(GratisError, match=r"is not readable JSON \(not a regular file\)"):
        read_json(tmp_path / "x.json")


def test_missing_json_is_an_error(tmp_path):
    with pytest.raises(GratisError, match="does not exist"):
        read_json(tmp_path / "x.json")
    with pytest.raises(GratisError, match="is not readable"):
        read_json(tmp_path)


@pytest.mark.parametrize("read", [read_json, lambda path: load_arrays(path, "is none", "delete")])
def test_a_file_that_may_not_be_read_is_not_called_damaged(read, tmp_path, monkeypatch):
    def deny(path, flags):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    (tmp_path / "x").write_text("{}")
    monkeypatch.setattr(regular_files, "_opened", deny)
    with pytest.raises(GratisError, match=r"x: cannot be read \(Permission denied\); make it"):
        read(tmp_path / "x")


KNOWN = frozenset({"a.txt"})


@pytest.mark.parametrize("replaces", [None, KNOWN])
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_folder_is_created_completely_or_not_at_all(tmp_path, replaces, failure):
    folder = tmp_path / "deep" / "sets[1]"
    with pytest.raises(failure), atomic_folder(folder, replaces=replaces) as new:
        (new / "a.txt").touch()
        raise failure
    assert names_in(folder.parent) == []
    with atomic_folder(folder, replaces=replaces) as new:
        (new / "a.txt").touch()
        assert not folder.exists()
    assert names_in(folder) == ["a.txt"]
    assert names_in(folder.parent) == ["sets[1]"]


def test_a_folder_of_known_content_is_replaced_and_any_other_is_kept(tmp_path):
    folder = tmp_path / "sets"
    for text in ("old", "new"):
        with atomic_folder(folder, replaces=KNOWN) as new:
            (new / "a.txt").write_text(text)
    assert (folder / "a.txt").read_text() == "new"
    (folder / "thesis.tex").touch()
    with (
        pytest.raises(GratisError, match=r"already holds thesis\.tex"),
        atomic_folder(folder, replaces=KNOWN),
    ):
        pass
    with (
        pytest.raises(GratisError, match="is not a folder"),
        atomic_folder(folder / "a.txt", replaces=KNOWN),
    ):
        pass
    assert names_in(folder) == ["a.txt", "thesis.tex"]
    assert names_in(tmp_path) == ["sets"]


def test_a_folder_that_another_process_created_meanwhile_is_kept(tmp_path):
    folder = tmp_path / "store"
    with atomic_folder(folder) as slow:
        (slow / "slow").touch()
        with atomic_folder(folder) as fast:
            (fast / "fast").touch()
    assert names_in(folder) == ["fast"]
    assert names_in(tmp_path) == ["store"]


def killed_while(body, folder):
    """Run ``body`` in another process, which then kills itself."""
    source = "import os, signal\nfrom pathlib import Path\nfrom gratis.files import *\n"
    source += f"from gratis.locks import *\n{body}\n"
    source += "os.kill(os.getpid(), signal.SIGKILL)"
    process = subprocess.run([sys.executable, "-c", source], cwd=folder)
    assert process.returncode == -signal.SIGKILL


def test_temporary_folders_of_killed_processes_are_removed(tmp_path):
    killed_while('made = atomic_folder(Path("sets[1]")); made.__enter__()', tmp_path)
    assert len(names_in(tmp_path)) == 1
    with atomic_folder(tmp_path / "sets[1]", replaces=frozenset()):
        pass
    assert names_in(tmp_path) == ["sets[1]"]


def test_an_old_folder_is_restored_after_its_replacement_was_killed(tmp_path):
    folder = tmp_path / "sets"
    folder.mkdir()
    (folder / "a.txt").touch()
    killed_while(
        "rename = Path.rename\n"
        "def kill(path, to):\n"
        "    if path.name == 'new': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return rename(path, to)\n"
        "Path.rename = kill\n"
        'with atomic_folder(Path("sets"), replaces=frozenset(["a.txt"])): pass',
        tmp_path,
    )
    assert not folder.exists()
    with pytest.raises(ZeroDivisionError), atomic_folder(folder, replaces=KNOWN):
        raise ZeroDivisionError
    assert names_in(tmp_path) == ["sets"]
    assert names_in(folder) == ["a.txt"]


def test_the_temporary_folder_of_a_running_process_is_kept(tmp_path):
    with atomic_folder(tmp_path / "sets", replaces=frozenset()) as slow:
        with atomic_folder(tmp_path / "sets", replaces=frozenset()):
            pass
        assert slow.exists()


def test_the_old_folder_is_restored_if_the_new_one_cannot_be_renamed(tmp_path, monkeypatch):
    folder = tmp_path / "sets"
    folder.mkdir()
    (folder / "a.txt").touch()

    rename = Path.rename

    def refuse(path, to):
        if path.name == "new":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with (
        pytest.raises(GratisError, match="cannot be written"),
        atomic_folder(folder, replaces=KNOWN),
    ):
        pass
    assert names_in(tmp_path) == ["sets"]
    assert names_in(folder) == ["a.txt"]


def test_a_folder_is_locked_until_its_owner_releases_it(tmp_path):
    folder = tmp_path / "run"
    with locked(folder):
        (folder / "kept").touch()
        with (
            pytest.raises(GratisError, match=r"run: another process is using this folder"),
            locked(folder),
        ):
            pass
    with locked(folder):
        pass
    assert (folder / "kept").exists()


def test_a_killed_owner_holds_no_lock_and_its_temporary_files_are_removed(tmp_path):
    killed_while(
        'kept = locked(Path("run")); kept.__enter__()\n'
        'half = atomic_file(Path("run/file")); half.__enter__().touch()',
        tmp_path,
    )
    assert any(name.endswith(".partial") for name in names_in(tmp_path / "run"))
    with locked(tmp_path / "run"):
        assert names_in(tmp_path / "run") == [".lock"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_locked_folder_that_stays_empty_is_removed(fails, tmp_path):
    with suppress(ZeroDivisionError), locked(tmp_path / "a" / "b"):
        if fails:
            raise ZeroDivisionError
    assert names_in(tmp_path) == []


def test_a_folder_that_cannot_be_created_is_not_locked(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GratisError, match="cannot be written"), locked(tmp_path / "file" / "run"):
        pass


def test_a_folder_that_cannot_be_written_names_the_remedy(tmp_path):
    with (
        pytest.raises(GratisError, match=r"sets: cannot be written \(No space left.*; pray"),
        atomic_folder(tmp_path / "sets", "pray"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_is_replaced_and_its_target_untouched(tmp_path, dangling):
    target, link = tmp_path / "target.txt", tmp_path / "run" / "file.txt"
    link.parent.mkdir()
    link.symlink_to(target)
    if not dangling:
        target.write_text("precious")
    write_text(link, "new")
    assert link.read_text() == "new" and not link.is_symlink()
    assert target.read_text() == "precious" if not dangling else not target.exists()


def test_a_link_to_a_folder_is_replaced_and_its_target_untouched(tmp_path):
    target, link = tmp_path / "target", tmp_path / "report"
    target.mkdir()
    (target / "a.txt").write_text("precious")
    link.symlink_to(target)
    with atomic_folder(link, replaces=KNOWN) as new:
        (new / "a.txt").write_text("new")
    assert (link / "a.txt").read_text() == "new" and not link.is_symlink()
    assert (target / "a.txt").read_text() == "precious"


def test_nothing_is_written_through_a_dangling_link_to_a_folder(tmp_path):
    (tmp_path / "report").symlink_to(tmp_path / "target")
    with (
        pytest.raises(GratisError, match=r"report: cannot be written"),
        atomic_folder(tmp_path / "report", replaces=KNOWN),
    ):
        pass
    assert names_in(tmp_path) == ["report"]


def test_new_files_and_folders_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain.txt").touch()
    (tmp_path / "plain").mkdir()
    write_text(tmp_path / "a.txt", "x")
    with atomic_folder(tmp_path / "a"):
        pass
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
