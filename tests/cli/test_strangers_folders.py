"""Run folders from strangers: links, named pipes, damaged and huge files, text that controls."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_tensors

from gratis.errors import Interrupted
from gratis.recipe import resolve
from gratis.run import fitting, training

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")

CHANGES = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3", "train.epochs=1"),
    *("train.held_out_per_class=1", "evaluate.images=20", "evaluate.pgd_steps=1"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run"
    training.train(resolve("free", "digits", [*CHANGES, "evaluate.examples=uint8"]), path)
    return path


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    path = tmp_path_factory.mktemp("unfinished") / "run"

    @contextmanager
    def stopping():
        left = itertools.chain([False] * 3, itertools.repeat(True))
        yield lambda: next(left)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "stopping", stopping)
        with pytest.raises(Interrupted):
            training.train(resolve("free", "digits", CHANGES), path)
    return path


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def refused(within):
    """Run a command within this process and a minute; return its one line of complaint."""

    def late(*_):
        raise AssertionError("it waits")

    def command(*arguments):
        before = signal.signal(signal.SIGALRM, late)
        signal.alarm(60)
        try:
            code, streams = within(*arguments)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        assert code == 2, streams
        (line,) = [line for line in streams.err.splitlines() if line.startswith("error: ")]
        assert streams.err.endswith(f"{line}\n") and "Traceback" not in streams.err
        return line

    return command


EVALUATE, REPORT = ["evaluate", "run"], ["report", "run"]
OTHERWISE = [*EVALUATE, "evaluate.images=10"]


@pytest.mark.parametrize("dangling", [False, True], ids=["to a folder", "dangling"])
@pytest.mark.parametrize(
    "name, command",
    [
        ("evaluation", EVALUATE),
        ("geometric", EVALUATE),
        ("evaluations", OTHERWISE),
        ("report", REPORT),
    ],
)
def test_nothing_is_written_through_a_link_to_a_folder(name, command, dangling, run, refused):
    victim = run.parent / "victim"
    if not dangling:
        victim.mkdir()
        (victim / "mine.txt").write_text("mine")
    shutil.rmtree(run / name, ignore_errors=True)
    (run / name).symlink_to(victim)
    line = refused(*command)
    assert f"run/{name}: is a symbolic link, and nothing is written through it; remove it" in line
    assert [path.name for path in victim.glob("*")] == ([] if dangling else ["mine.txt"])


@pytest.mark.parametrize("kind", ["symbolic", "dangling", "hard"])
@pytest.mark.parametrize("name", ["metrics.jsonl", ".lock"])
def test_nothing_is_written_through_a_link_to_a_file(
    name, kind, unfinished, tmp_path, monkeypatch, refused
):
    monkeypatch.chdir(tmp_path)
    run = Path(shutil.copytree(unfinished, tmp_path / "run"))
    victim = tmp_path / ".bashrc"
    if kind != "dangling":
        victim.write_text("alias ll='ls -l'\n")
    (run / name).unlink()
    if kind == "hard":
        if name == ".lock":
            pytest.skip("a lock is never written to")
        (run / name).hardlink_to(victim)
    else:
        (run / name).symlink_to(victim)
    assert name in refused("resume", "run")
    assert (victim.read_text() if victim.exists() else None) == (
        None if kind == "dangling" else "alias ll='ls -l'\n"
    )


def test_files_that_are_replaced_as_a_whole_replace_a_link(run, within):
    for name in ("correct.safetensors", "results.json", "examples.safetensors"):
        (run / name).rename(run.parent / name)
        (run / name).symlink_to(run.parent / name)
    before = {path: path.read_bytes() for path in run.parent.glob("*.*")}
    code, streams = within(*EVALUATE)
    assert code == 0, streams
    assert {path: path.read_bytes() for path in run.parent.glob("*.*")} == before
    assert not (run / "results.json").is_symlink()


def test_left_overs_of_a_writer_that_are_links_stay_untouched(run, within):
    """What looks like the temporary folder of a killed process leads to another folder."""
    victim = run.parent / "victim"
    (victim / "old").mkdir(parents=True)
    (victim / "old" / "mine.txt").touch()
    (victim / "writer.lock").touch()
    shutil.rmtree(run / "geometric")
    (run / ".geometric.x.partial").symlink_to(victim)
    within(*EVALUATE)
    assert (victim / "old" / "mine.txt").exists()


@pytest.mark.parametrize(
    "name, command",
    [
        ("recipe.yaml", EVALUATE),
        ("data.json", [*EVALUATE, "--data", "digits"]),
        ("checkpoint.safetensors", EVALUATE),
        ("evaluation/clean-*.safetensors", EVALUATE),
        ("geometric/geometric.npy", EVALUATE),
        ("examples.safetensors", [*EVALUATE, "--from-examples", "run/examples.safetensors"]),
        ("results.json", REPORT),
        ("correct.safetensors", REPORT),
        ("metrics.jsonl", REPORT),
        ("evaluation/seconds.json", REPORT),
        ("evaluation/sample_images.safetensors", REPORT),
    ],
)
def test_a_named_pipe_is_not_waited_for(name, command, run, refused):
    (path,) = run.glob(name)
    if name == "checkpoint.safetensors":
        (run / "checkpoint.previous.safetensors").unlink()
    path.unlink()
    os.mkfifo(path)
    assert path.name in refused(*command)


def test_a_log_that_is_a_pipe_is_not_written_to(unfinished, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(unfinished, tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    os.mkfifo(tmp_path / "run" / "metrics.jsonl")
    assert "metrics.jsonl: cannot be written (not a regular file)" in refused("resume", "run")


def deep(levels):
    return json.loads('{"a": ' * levels + "1" + "}" * levels)


def task(**changes):
    attack = {"epsilon": 0.1, "steps": 1, "restarts": 1, "random_start": False, "loss": "margin"}
    whole = {"name": "a", "accuracy": 0.5, "threat": "curve", "standalone": True, "images": 20}
    return {"tasks": [whole | {"settings": {"attack": attack | changes}}]}


def settings(**content):
    changed = task()
    changed["tasks"][0] |= {"threat": "", "settings": content}
    return changed


@pytest.mark.parametrize(
    "changes, expected",
    [
        (task(epsilon=1e308), "epsilon"),
        (task(epsilon="x"), "epsilon"),
        (task(epsilon=1.5), "curve"),
        (task(epsilon=None), "epsilon"),
        (task(steps=[1]), "steps"),
        (task(loss={}), "loss"),
        (task(random_start=None), "random_start"),
        (settings(attack=[]), "attack"),
        (settings(attack="x"), "attack"),
        (settings(severity="x", kind="fog"), "severity"),
        (settings(severity=1), "kind"),
        (settings(draws=3), "degrees"),
        (settings(part=1), "part"),
        (settings(epsilon=[]), "epsilon"),
        ({"tasks": 1}, "tasks"),
        ({"resolved": deep(55)}, "nested too deeply"),
        ({"resolved": deep(900)}, "nested too deeply"),
        ({"resolved": []}, "resolved"),
        ({"title": "x" * 2_000_000}, "title: must be at most 2,000 characters"),
        ({"suite": "x\x1b[2J"}, "suite: must be one line"),
        ({"passes": 1e308}, "passes"),
        ({"seconds": -1}, "seconds"),
        ({"versions": {"a": "\n"}}, "versions"),
        ({"commit": "\x1b"}, "commit"),
        ({"padding": "x" * 17_000_000}, "larger than 16,777,216 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_malformed_results_are_one_line(changes, expected, run, refused):
    path = run / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    line = refused(*REPORT)
    assert "results.json" in line and expected in line and len(line) < 1000


def test_fields_of_a_newer_version_are_ignored(run, within):
    path = run / "results.json"
    content = json.loads(path.read_text())
    content["of_a_newer_version"] = content["tasks"][0]["too"] = content["paper"]["too"] = [1]
    path.write_text(json.dumps(content))
    code, streams = within(*REPORT)
    assert code == 0, streams


BFLOAT16 = torch.zeros(1, dtype=torch.bfloat16)


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": np.array(1.0)},
        {"seconds": np.array([np.nan])},
        {"seconds": np.array([1])},
        {"index": np.array(1), "correct": np.array(True)},
        {"index": np.zeros((20, 1), np.int64), "correct": np.ones((20, 1), np.bool_)},
        {"correct": np.array(1.0)},
        {"examples": np.array(1.0)},
        {"examples": np.zeros((1, 2))},
        {"more": np.zeros(1)},
        BFLOAT16,
    ],
    ids=str,
)
def test_a_malformed_cache_is_one_line(changes, run, refused):
    (path,) = (run / "evaluation").glob("clean-*.safetensors")
    if changes is BFLOAT16:
        save_tensors({"seconds": BFLOAT16}, path)
    else:
        save_file(load_file(path) | changes, path)
    assert f"{path.name}: is not part of an evaluation" in refused(*EVALUATE)


@pytest.mark.parametrize("number", ["x", "", "²", "-1", "1e3", "9" * 5000])
def test_oddly_named_files_in_a_cache_are_left_alone(number, run, within):
    (path,) = (run / "evaluation").glob("clean-*.safetensors")
    odd = path.with_name(path.name.replace("000000", number[:200]))
    odd.write_bytes(b"odd")
    code, streams = within(*EVALUATE)
    assert code == 0, streams
    assert odd.read_bytes() == b"odd"


@pytest.mark.parametrize(
    "changes",
    [
        {"index": np.array(1)},
        {"labels": np.array(1)},
        {"images": np.array(1, np.uint8)},
        {"index": np.zeros((1, 1), np.int64)},
        {"index": np.zeros(0, np.int64)},
    ],
    ids=str,
)
def test_malformed_examples_are_one_line(changes, run, refused):
    path = run / "examples.safetensors"
    save_file(load_file(path) | changes, path, {"epsilon": "0.1"})
    command = [*EVALUATE, "--from-examples", path]
    assert "examples.safetensors: holds no adversarial examples" in refused(*command)


MEMORY = """
import resource, sys
from pathlib import Path
from gratis.report.log_lines import read_log
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
lines = read_log(Path(sys.argv[1]))
print(len(lines), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_huge_log_takes_little_memory(tmp_path):
    path = tmp_path / "metrics.jsonl"
    line = '{"kind": "step", "step": 1, "epoch": 1.0, "loss": 1.5, "accuracy": 0.5}\n'
    path.write_text(line * 700_000 + line.replace("step", "epoch"))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, path], capture_output=True, text=True, check=True
    )
    found, kilobytes = map(int, done.stdout.split())
    assert 10_000 < found < 100_000
    assert kilobytes < 150_000


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"x" * 300_000_000, "line 1 is no line of a log"),
        (b'{"epoch": 1}\n' * 60_000, "has more than 50,000 lines of epochs"),
        (b'{"epoch": NaN}\n', "line 1"),
        (b"\xff\n", "line 1"),
    ],
    ids=["one line", "epochs", "NaN", "not UTF-8"],
)
def test_a_malformed_log_is_one_line(content, expected, run, refused):
    (run / "metrics.jsonl").write_bytes(content)
    line = refused(*REPORT)
    assert "metrics.jsonl" in line and expected in line


LINK = "[link=https://evil.example]click[/link] [red]"


def test_text_of_strangers_is_shown_literally(run, within):
    """Markup of the terminal's library, of Markdown and of HTML stay text."""
    path = run / "results.json"
    changes = dict.fromkeys(("title", "data", "device", "recipe", "suite", "backbone"), LINK)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    (run / "evaluation" / "sample_images.safetensors").unlink()
    code, streams = within(*REPORT)
    assert code == 0, streams
    page = (run / "report" / "report.md").read_text()
    assert "\\[link=https://evil.example\\]" in page
    assert "\n[link" not in page and "| [link" not in page

    code, streams = within("train", "free", "--out", "run", *CHANGES, "evaluate.examples=uint8")
    shown = "".join(streams.out.split())
    assert "\x1b]8;" not in streams.out
    assert code == 0 and "".join(LINK.split()) in shown, streams


def test_a_path_cannot_control_the_terminal(run, tmp_path, within, monkeypatch):
    odd = tmp_path / "a\x1b[2J\rb\u202e"
    run.rename(odd)
    code, streams = within("evaluate", odd)
    assert code == 0, streams
    for text in (streams.out, streams.err):
        assert "\x1b[2J" not in text and "\r" not in text and "\u202e" not in text
    code, streams = within("report", odd)
    assert code == 0 and "\\x1b[2J\\rb\\u202e" in streams.out
