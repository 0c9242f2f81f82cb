"""Checkpoint files: an intact one can be read whatever happens while one is written."""

import os

import pytest
import torch

from gratis.errors import GratisError
from gratis.training import checkpoint_file

DAMAGES = {
    "cut": lambda content: content[:-3],
    "emptied": lambda content: b"",
    "one bit of a weight": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "one letter of the metadata": lambda content: content.replace(b"name", b"nane"),
    "another file": lambda content: b"PK\x03\x04" + content,
}


def tensors(value):
    return {
        "weight": torch.full((4, 3), value).to(memory_format=torch.contiguous_format),
        "half": torch.full((5,), value, dtype=torch.bfloat16),
        "count": torch.tensor(int(value)),
        "none": torch.empty(0),
    }


def value_of(path):
    found, metadata = checkpoint_file.read(path)
    assert {name: t.dtype for name, t in found.items()} == {
        name: t.dtype for name, t in tensors(0.0).items()
    }
    return float(found["weight"][0, 0]), metadata


@pytest.fixture
def path(tmp_path):
    """The second of two files written in turn: 1, then 2."""
    path = tmp_path / "checkpoint.safetensors"
    checkpoint_file.write(path, tensors(1.0), {"name": "first"})
    checkpoint_file.write(path, tensors(2.0), {"name": "second"})
    return path


def test_what_is_written_is_read_and_the_previous_file_is_kept(path):
    assert value_of(path) == (2.0, {"name": "second"})
    assert value_of(checkpoint_file.previous(path)) == (1.0, {"name": "first"})
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_previous_file_is_read_in_place_of_a_damaged_one(damage, path, caplog):
    path.write_bytes(damage(path.read_bytes()))
    assert value_of(path) == (1.0, {"name": "first"})
    (message,) = caplog.messages
    assert "checkpoint.safetensors: is missing or damaged" in message


def test_repairing_replaces_a_damaged_file_and_warns_once(path, caplog):
    path.write_bytes(b"")
    for _ in range(2):
        assert checkpoint_file.read(path, repair=True)[1] == {"name": "first"}
    assert len(caplog.messages) == 1
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_if_both_are_damaged_the_error_names_the_newest(damage, path):
    for each in (path, checkpoint_file.previous(path)):
        each.write_bytes(damage(each.read_bytes()))
    with pytest.raises(GratisError, match=r"checkpoint\.safetensors: is damaged"):
        checkpoint_file.read(path)


def test_the_previous_file_is_read_if_the_newest_is_missing(path):
    path.unlink()
    assert checkpoint_file.exists(path)
    assert value_of(path)[0] == 1.0
    checkpoint_file.previous(path).unlink()
    assert not checkpoint_file.exists(path)
    with pytest.raises(GratisError, match="no such checkpoint"):
        checkpoint_file.read(path)


class Killed(BaseException):
    """Not an Exception, so that no handler catches it."""


CALLS = ("open", "fsync", "replace", "rename", "unlink", "link")


def counted(call, left):
    """Return ``call``, which raises Killed when the iterator ``left`` ends."""

    def counting(*arguments, **named):
        if next(left, None) is None:
            raise Killed
        return call(*arguments, **named)

    return counting


@pytest.mark.parametrize("damaged", [False, True])
def test_a_kill_at_any_system_call_leaves_an_intact_file(damaged, path, monkeypatch):
    """Kill a write before each of its system calls in turn."""
    if damaged:
        path.write_bytes(b"")
        checkpoint_file.read(path, repair=True)
    real = {name: getattr(os, name) for name in CALLS}
    kills = 0
    for moment in range(1000):
        left = iter(range(moment))
        with monkeypatch.context() as patched:
            for name in CALLS:
                patched.setattr(os, name, counted(real[name], left))
            try:
                checkpoint_file.write(path, tensors(3.0), {"name": "third"})
            except Killed:
                kills += 1
            else:
                break
        assert value_of(path)[0] in (1.0, 2.0, 3.0)
    assert kills >= 4
    assert value_of(path)[0] == 3.0
