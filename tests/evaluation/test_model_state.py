"""The key of a cache depends on everything that decides what a model computes."""

import functools
import importlib
import importlib.metadata
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from gratis.data.dataset import Split
from gratis.evaluation import EvaluateSettings, measure, source_files
from gratis.evaluation.cache import CacheFolder
from gratis.evaluation.model_state import model_state
from gratis.validation_sets import build, load

LEVELS = [16]


class Options:
    def __init__(self, **values):
        self.__dict__ |= values


class Slotted:
    __slots__ = ("levels",)

    def __init__(self, levels):
        self.levels = levels


class Guard(nn.Module):
    """A network with something before it, of any kind."""

    def __init__(self, before, **attributes):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
        self.before = before
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, images):
        return self.net(self.before(images))


def same(images):
    return images


def closure(levels):
    return lambda images: (images * levels).round() / levels


def other_closure(levels):
    return lambda images: (images * levels).floor() / levels


def by_default(levels):
    def before(images, levels=levels):
        return images * levels

    return before


def by_global(images):
    return images * LEVELS[0]


def hooked(amount):
    model = Guard(same)
    model.register_forward_hook(lambda _, __, logits: logits + amount)
    return model


def with_buffer(amount, persistent):
    model = Guard(same)
    model.register_buffer("mean", torch.tensor(amount), persistent=persistent)
    return model


PAIRS = {
    "a number": [lambda a=a: Guard(same, levels=a) for a in (1, 2)],
    "a private number": [lambda a=a: Guard(same, _levels=a) for a in (1, 2)],
    "a tensor": [lambda a=a: Guard(same, mean=torch.tensor(a)) for a in (0.1, 0.2)],
    "a buffer": [lambda a=a: with_buffer(a, True) for a in (0.1, 0.2)],
    "a buffer that is not saved": [lambda a=a: with_buffer(a, False) for a in (0.1, 0.2)],
    "an array": [lambda a=a: Guard(same, mean=np.array(a)) for a in (0.1, 0.2)],
    "a list": [lambda a=a: Guard(same, levels=[1, [a]]) for a in (1, 2)],
    "a dict": [lambda a=a: Guard(same, levels={"a": {"b": a}}) for a in (1, 2)],
    "a key": [lambda a=a: Guard(same, levels={a: 1}) for a in (1, 2)],
    "a set": [lambda a=a: Guard(same, levels={a, "b"}) for a in "ac"],
    "an object": [lambda a=a: Guard(same, options=Options(levels=a)) for a in (1, 2)],
    "a slot": [lambda a=a: Guard(same, options=Slotted(a)) for a in (1, 2)],
    "a closure": [lambda a=a: Guard(closure(a)) for a in (1, 2)],
    "code": [lambda f=f: Guard(f(2)) for f in (closure, other_closure)],
    "a default": [lambda a=a: Guard(by_default(a)) for a in (1, 2)],
    "a partial": [lambda a=a: Guard(functools.partial(torch.add, other=a)) for a in (1, 2)],
    "a method": [lambda a=a: Guard(torch.tensor(a).add) for a in (1.0, 2.0)],
    "a torch function": [lambda f=f: Guard(f) for f in (torch.sin, torch.cos)],
    "a hook": [lambda a=a: hooked(a) for a in (1, 2)],
    "a weight": [lambda a=a: Guard(nn.PReLU(init=a)) for a in (0.1, 0.2)],
    "a setting of a layer": [lambda a=a: Guard(nn.LeakyReLU(a)) for a in (0.1, 0.2)],
    "the class of a layer": [lambda c=c: Guard(c()) for c in (nn.ReLU, nn.ReLU6)],
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_another_state_has_another_digest(pair):
    one, other = (make() for make in pair)
    assert model_state(one).digest == model_state(pair[0]()).digest
    assert model_state(one).digest != model_state(other).digest
    assert model_state(one) == model_state(one)


def test_a_global_variable_that_the_code_reads_counts(monkeypatch):
    model = Guard(by_global)
    before = model_state(model)
    monkeypatch.setitem(globals(), "LEVELS", [2])
    assert model_state(model).digest != before.digest


def test_a_method_that_is_replaced_counts(monkeypatch):
    model = Guard(same)
    before = model_state(model)
    monkeypatch.setattr(Guard, "forward", lambda self, images: self.net(images / 2))
    assert model_state(model).digest != before.digest


def test_modes_and_what_is_unrelated_do_not_count():
    model = Guard(same)
    before = model_state(model.train())
    logging.getLogger("other").info("something")
    assert model_state(model.eval()) == before and not before.unknown


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_the_state_of_timms_networks_is_known(name):
    torch.manual_seed(0)
    assert not model_state(timm.create_model(name)).unknown


@pytest.mark.parametrize("thing", [threading.Lock(), iter([1])])
def test_state_that_cannot_be_read_is_named(thing):
    (unknown,) = model_state(Guard(same, thing=thing)).unknown
    assert unknown.startswith("model.thing (") and type(thing).__qualname__ in unknown


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import imports_late_for_test, mine_for_test
from gratis.evaluation.model_state import model_state
for module in (mine_for_test, imports_late_for_test):
    print(*model_state(module.build()))
"""
# A module that imports another one as usual, and one whose code imports when it runs.
MINE = """
import torch
from helper_for_test import before
class Mine(torch.nn.Module):
    names = {"a", "b", "c", "d"}
    def forward(self, images):
        return before(images) * ("a" in {"a", "b", "c"})
def build():
    return Mine()
"""
IMPORTING = """
import torch
class Mine(torch.nn.Module):
    def forward(self, images):
        if len(images):
            from late_helper_for_test import levels
            return images * levels()
def build():
    Mine()(torch.ones(1))
    return Mine()
"""


def states_in_a_process(folder):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    return run.stdout.splitlines()


def test_every_process_finds_the_same_and_edited_files_count(tmp_path):
    (tmp_path / "mine_for_test.py").write_text(MINE)
    (tmp_path / "imports_late_for_test.py").write_text(IMPORTING)
    (tmp_path / "helper_for_test.py").write_text("def before(images): return images")
    (tmp_path / "late_helper_for_test.py").write_text("def levels(): return 1")
    before = states_in_a_process(tmp_path)
    assert len(before) == 2 and all(state.endswith("()") for state in before)
    assert states_in_a_process(tmp_path) == before
    (tmp_path / "helper_for_test.py").write_text("def before(images): return images / 2")
    (tmp_path / "late_helper_for_test.py").write_text("def levels(): return 2")
    after = states_in_a_process(tmp_path)
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_what_is_installed_for_a_user_or_a_system_is_a_library(tmp_path, monkeypatch):
    """Reading the state of all modules of torch takes a minute."""
    for name, library in (("site-packages", True), ("dist-packages", True), ("packages", False)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"in_{name[:4]}_for_test.py").touch()
        monkeypatch.syspath_prepend(tmp_path / name)
        source_files._libraries.cache_clear()
        module = importlib.import_module(f"in_{name[:4]}_for_test")
        assert source_files.is_library(module) is library
    source_files._libraries.cache_clear()


@pytest.mark.parametrize("package", ["torch", "torchvision", "timm", "onnxruntime"])
def test_another_version_of_a_package_is_another_model(package, measured, monkeypatch):
    assert measured(Guard(counted)) > 0
    assert measured(Guard(counted)) == 0
    version = importlib.metadata.version
    found = lambda name: "0.0.1" if name == package else version(name)  # noqa: E731
    monkeypatch.setattr(importlib.metadata, "version", found)
    source_files._version.cache_clear()
    try:
        assert measured(Guard(counted)) > 0
    finally:
        source_files._version.cache_clear()


@pytest.fixture
def measured(tmp_path):
    """Measure a model with a cache; return how many batches it was asked about."""
    images = np.random.default_rng(0).integers(0, 256, (6, 2, 2, 3), dtype=np.uint8)
    split = Split(images, np.arange(6) % 3)
    build(tmp_path / "sets", split, True, None, 8 / 255, seed=0)
    sets = load(tmp_path / "sets", split)
    calls = logging.getLogger("calls of the model")

    class Count(logging.Handler):
        asked = 0

        def handle(self, record):
            self.asked += 1

    def run(model, **policy):
        count = Count()
        calls.handlers[:], calls.propagate = [count], False
        calls.setLevel(logging.INFO)
        settings = EvaluateSettings(suite="paper")
        folder = CacheFolder(Path(tmp_path / "cache"), **policy)
        measure(model, split, sets, settings, 0, folder)
        return count.asked

    return run


def counted(images):
    logging.getLogger("calls of the model").info("asked")
    return images


def test_only_known_state_is_reused_unless_it_is_asked_for(measured, caplog):
    assert measured(Guard(counted)) > 0
    assert measured(Guard(counted)) == 0
    opaque = Guard(counted, thing=threading.Lock())
    with caplog.at_level(logging.INFO, "gratis"):
        assert measured(opaque) > 0
    assert "are not used again, since it holds model.thing (" in caplog.text
    assert measured(opaque) > 0
    assert measured(opaque, reuse=True) > 0
    assert measured(opaque, reuse=True) == 0
    assert measured(Guard(counted), origin="another file") > 0
