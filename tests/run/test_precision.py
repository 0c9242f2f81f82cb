"""``train.precision: auto`` is chosen when a run begins, and stays."""

import pytest
import torch

from gratis.recipe import resolve
from gratis.run import precision
from gratis.run.folder import RunFolder
from gratis.run.precision import fit_to_device, quick_precision
from gratis.run.training import train_only

SMALL = ["train.epochs=0.1", "train.batch_size=64", "model.channels=[4, 4, 4, 4]"]


def recipe_of(word):
    return resolve("free", "digits", [*SMALL, f"train.precision={word}"])


def on(monkeypatch, word):
    monkeypatch.setattr(precision, "quick_precision", lambda: word)


@pytest.mark.parametrize("word", ["32-true", "bf16-mixed"])
def test_what_is_said_is_kept(word, monkeypatch, tmp_path, capsys):
    on(monkeypatch, "other")
    assert fit_to_device(recipe_of(word), RunFolder(tmp_path)).train.precision == word
    assert not capsys.readouterr().err


def test_a_run_goes_on_as_it_began_on_any_device(monkeypatch, tmp_path, capsys):
    on(monkeypatch, "bf16-mixed")
    train_only(recipe_of("auto"), tmp_path / "run")
    assert "train.precision: bf16-mixed" in capsys.readouterr().err
    assert RunFolder(tmp_path / "run").recipe().train.precision == "bf16-mixed"
    on(monkeypatch, "32-true")
    again = fit_to_device(recipe_of("auto"), RunFolder(tmp_path / "run"))
    assert again.train.precision == "bf16-mixed"
    assert not capsys.readouterr().err
    train_only(recipe_of("auto"), tmp_path / "run")  # finished, and not another run's folder


@pytest.mark.parametrize(
    ("supported", "word"),
    [
        ((), "32-true"),
        (("_is_avx512_bf16_supported",), "bf16-mixed"),
        (("_is_amx_tile_supported",), "bf16-mixed"),
    ],
)
def test_a_processor_that_is_quick_at_it(supported, word, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in precision._CPU:
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in supported, raising=False)
    assert quick_precision() == word
    for name in precision._CPU:  # as in another version of torch
        monkeypatch.delattr(torch.cpu, name)
    assert quick_precision() == "32-true"


@pytest.mark.parametrize(("quick", "word"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_gpu_that_only_emulates_it_does_without(quick, word, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or quick
    )
    assert quick_precision() == word
