import sys
from pathlib import Path
from typing import Literal, get_origin

import pytest

import gratis.data
from gratis.data import DataSettings, from_argument, load, sources
from gratis.errors import GratisError
from gratis.settings import validate


def test_every_source_is_found_by_its_file():
    assert set(sources()) == {
        *("digits", "tiny-imagenet", "folder", "csv", "cifar10", "cifar100", "hf", "wds")
    }


def test_a_new_source_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "stripes.py").write_text("SOURCES = {'stripes': lambda settings: settings.size}")
    monkeypatch.setattr(gratis.data, "__path__", [*gratis.data.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "gratis.data.stripes", raising=False)
    assert load(DataSettings(name="stripes", size=7)) == 7
    del sys.modules["gratis.data.stripes"], gratis.data.stripes


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"name": "tiny-imagnet"}, "name: unknown data 'tiny-imagnet'; did you mean 'tiny-imag"),
        ({"name": "digits", "classes": 1}, "classes: .*greater than or equal to 2"),
        ({"name": "digits", "size": 3}, "size: .*greater than or equal to 4"),
        ({"name": "digits", "root_": "x"}, "root_: unknown key; did you mean 'root'"),
        ({}, "name: field required"),
    ],
)
def test_wrong_settings_are_refused(content, problem):
    with pytest.raises(GratisError, match=problem):
        validate(DataSettings, content, "data")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("digits", {"name": "digits"}),
        ("folder:/a/b", {"name": "folder", "root": "/a/b"}),
        ("folder:a:b", {"name": "folder", "root": str(Path.cwd() / "a:b")}),
        ("tiny-imagenet:~/t", {"name": "tiny-imagenet", "root": str(Path.home() / "t")}),
    ],
)
def test_the_argument_of_the_command_line(text, expected):
    assert from_argument(text) == expected


def test_a_colon_without_a_path_is_refused():
    with pytest.raises(GratisError, match="'folder:' lacks a path; write folder:PATH"):
        from_argument("folder:")


def test_every_public_name_exists_and_is_documented():
    for name in gratis.data.__all__:
        value = getattr(gratis.data, name)
        # A Literal has no docstring of its own.
        assert get_origin(value) is Literal or value.__doc__
    assert len(set(gratis.data.__all__)) == len(gratis.data.__all__)
