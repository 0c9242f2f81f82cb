"""Code that the recipe in a run's folder names is imported only where the user asks for it."""

import json
import shutil
import sys
from pathlib import Path

import pytest

import gratis
from gratis.digests import file_digest
from gratis.errors import GratisError

CODE = """
from pathlib import Path
from torch import nn

Path("imported").touch()


def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
"""
CHANGES = [
    *("model.backbone=named_by_a_run:build", "model.channels=null", "model.stem=imagenet"),
    *("model.head.layers=0", "data.classes=3", "train.epochs=1", "train.held_out_per_class=1"),
    *("evaluate.images=10", "evaluate.pgd_steps=1"),
]
REFUSED = "recipe.yaml: names code to import (named_by_a_run:build); use --trust-code if you"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with the network of a function, trained where the user names the function."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "named_by_a_run.py").write_text(CODE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        gratis.train("resnet18", data="digits", out="run", overrides=CHANGES)
    assert (folder / "imported").exists()
    return folder


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    """The same run, and its code, as they come from a stranger."""
    for name in ("run", "named_by_a_run.py"):
        copy = shutil.copytree if (finished / name).is_dir() else shutil.copy
        copy(finished / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "named_by_a_run", raising=False)
    return Path("run")


COMMANDS = {
    "evaluate": ["evaluate", "run"],
    "other data": ["evaluate", "run", "--data", "digits", "data.classes=3"],
    "resume": ["resume", "run"],
    "perturb": ["perturb", "run", "--out", "sets"],
    "predict": ["predict", "run", "a.png"],
    "export": ["export", "run", "--out", "a.pt2"],
    "verify": ["verify", "run"],
    "harden": ["harden", "run", "--budget", "1s"],
    "train": ["train", "free", "--weights", "run", "--data", "digits"],
    "play": ["play", "run", "--no-browser"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_cannot_name_code_to_import(name, run, refused):
    assert REFUSED in refused(*COMMANDS[name])
    assert not Path("imported").exists()


def test_python_refuses_it_too(run):
    message = "names code to import .*; use trust_code if you trust it"
    for call in (
        lambda: gratis.load(run),
        lambda: gratis.load(run, trust_code="yes"),
        lambda: gratis.evaluate(run),
        lambda: gratis.predict(run, "a.png"),
        lambda: gratis.export(run, "a.pt2"),
        lambda: gratis.harden(run, budget="1s"),
        lambda: gratis.train("free", data="digits", weights=run),
    ):
        with pytest.raises(GratisError, match=message):
            call()
    assert not Path("imported").exists()


def test_a_run_is_used_where_its_code_is_trusted(run, works):
    works("evaluate", "run", "--trust-code", "--suite", "paper")
    assert Path("imported").exists()
    assert gratis.load(run, trust_code=True).classes == ("0", "1", "2")
    with pytest.raises(GratisError, match="names code to import"):
        gratis.load(run)


def test_the_page_of_a_run_opens_where_its_code_is_trusted(run, works, monkeypatch):
    playground = pytest.importorskip("gratis.playground")
    served = []
    monkeypatch.setattr(playground, "build_page", list)
    monkeypatch.setattr(playground, "serve", lambda page, *_: served.extend(page))
    works("play", "run", "--no-browser", "--trust-code")
    assert Path("imported").exists()
    assert [model.classes for model in served] == [("0", "1", "2")]


def test_training_starts_from_the_weights_that_the_command_names(run, works):
    start = ["--weights", "run", "--trust-code", "--data", "digits", "--out", "started"]
    works("train", "resnet18", *start, *CHANGES[4:])
    noted = json.loads(Path("started/start.json").read_text())
    assert noted["sha256"] == file_digest(run / "checkpoint.safetensors")


def test_a_function_that_the_user_names_is_trusted(run, works):
    works("train", "resnet18", "--data", "digits", "--out", "mine", *CHANGES)
    assert Path("imported").exists()


def test_a_run_with_code_is_not_shared_and_the_message_says_so(run, refused):
    assert "code is not shared" in refused("push", "run", "me/net")
