"""Functions of the user's are imported without lasting changes to Python's search path."""

import sys

import pytest

from gratis.errors import GratisError
from gratis.model import from_function

MODULE = """
import helper_for_test
from torch import nn
def good():
    return nn.Linear(helper_for_test.SIZE, 2)
def bad():
    raise ValueError("no")
def number():
    return 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a module that imports another."""
    monkeypatch.chdir(tmp_path)
    for name in ("function_for_test", "helper_for_test"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "function_for_test.py").write_text(MODULE)
    (tmp_path / "helper_for_test.py").write_text("SIZE = 7")
    return tmp_path


@pytest.mark.parametrize("name", ["good", "bad", "number", "absent"])
def test_the_search_path_is_afterwards_as_it_was(folder, name):
    before = list(sys.path)
    try:
        assert from_function(f"function_for_test:{name}").in_features == 7
        assert name == "good"
    except GratisError:
        assert name != "good"
    assert sys.path == before


def test_a_folder_that_was_on_the_path_stays_there(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    before = list(sys.path)
    from_function("function_for_test:good")
    assert sys.path == before


def test_installed_modules_come_before_those_of_the_current_folder(folder):
    (folder / "torch.py").write_text("raise RuntimeError('shadowed')")
    (folder / "timeit.py").write_text("raise RuntimeError('shadowed')")
    sys.modules.pop("timeit", None)
    with pytest.raises(GratisError, match=r"returns Timer; return a torch\.nn\.Module"):
        from_function("timeit:Timer")
