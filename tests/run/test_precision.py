"""``train.precision: auto`` is chosen when a run starts, and stays."""

import pytest
import torch

from gratis.augmentation import AugmentSettings
from gratis.recipe import resolve
from gratis.run import dependent_settings, machine
from gratis.run.dependent_settings import resolve_dependent
from gratis.run.folder import RunFolder
from gratis.run.loading import load_once
from gratis.run.machine import fastest_precision
from gratis.run.training import train_only

SMALL = ["train.epochs=0.1", "train.batch_size=64", "model.channels=[8, 8, 8, 8]"]


def recipe_of(word):
    return resolve("free", "digits", [*SMALL, f"train.precision={word}"])


def on(monkeypatch, word):
    monkeypatch.setattr(dependent_settings, "fastest_precision", lambda: word)


@pytest.mark.parametrize("word", ["32-true", "bf16-mixed"])
def test_a_given_precision_is_kept(word, monkeypatch, caplog):
    caplog.set_level("INFO", "gratis")
    on(monkeypatch, "other")
    recipe = recipe_of(word)
    assert resolve_dependent(recipe, load_once(recipe.data)).train.precision == word
    assert "train.precision" not in caplog.text


def test_a_resumed_run_keeps_its_precision_on_any_device(monkeypatch, tmp_path, caplog):
    caplog.set_level("INFO", "gratis")
    on(monkeypatch, "bf16-mixed")
    recipe = recipe_of("auto")
    train_only(recipe, tmp_path / "run")
    assert "train.precision: bf16-mixed" in caplog.text
    started = RunFolder(tmp_path / "run").recipe()
    assert started.train.precision == "bf16-mixed"
    on(monkeypatch, "32-true")
    caplog.clear()
    again = resolve_dependent(recipe, load_once(recipe.data), started)
    assert again.train.precision == "bf16-mixed"
    assert "train.precision" not in caplog.text
    train_only(recipe, tmp_path / "run")  # finished, and not the folder of another run


def test_a_recipe_is_resolved_once_for_data_and_device(monkeypatch, caplog):
    caplog.set_level("INFO", "gratis")
    on(monkeypatch, "32-true")
    recipe = resolve("free", "digits", [*SMALL, "train.precision=auto"])
    augment = AugmentSettings(flip=0.5)
    recipe = recipe.model_copy(update={"augment": augment})
    dataset = load_once(recipe.data)
    resolved = resolve_dependent(recipe, dataset)
    assert resolved.augment == augment.model_copy(update={"flip": 0.0})
    assert resolved.train.precision == "32-true"
    # What a resolved recipe says stays.
    assert resolve_dependent(recipe, dataset, resolved) == resolved
    assert resolve_dependent(resolved, dataset, resolved) == resolved


@pytest.mark.parametrize(
    ("supported", "word"),
    [
        ((), "32-true"),
        (("_is_avx512_bf16_supported",), "bf16-mixed"),
        (("_is_amx_tile_supported",), "bf16-mixed"),
    ],
)
def test_a_processor_with_bfloat16_in_hardware_uses_it(supported, word, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in machine._CPU_PROBES:
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in supported, raising=False)
    assert fastest_precision() == word
    for name in machine._CPU_PROBES:  # as in another version of torch
        monkeypatch.delattr(torch.cpu, name)
    assert fastest_precision() == "32-true"


@pytest.mark.parametrize(("quick", "word"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_gpu_that_only_emulates_bfloat16_does_not_use_it(quick, word, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or quick
    )
    assert fastest_precision() == word
