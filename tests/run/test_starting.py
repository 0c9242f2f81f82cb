"""Training starts from runs, timm models, functions and files of weights, and says from which."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import timm
import torch

import gratis
from gratis.data import DataSettings
from gratis.digests import file_digest
from gratis.errors import GratisError
from gratis.model import HeadSettings, ModelSettings, read_weights
from gratis.recipe import resolve
from gratis.run import (
    ModelSource,
    build,
    fitting,
    initial_model_settings,
    initial_weight_overrides,
    load_once,
    training,
)
from gratis.run.folder import RunFolder

TINY = ["model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3", "train.epochs=1"]
QUICK = ["evaluate.images=30", "evaluate.pgd_steps=1"]
DIGITS = tuple("0123456789")
FUNCTION = """
from torch import nn
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run that was not measured; look, and copy, but leave it."""
    folder = tmp_path_factory.mktemp("start") / "run"
    training.train_only(resolve("resnet18", "digits", TINY), folder)
    return folder


def model_of(settings, classes=DIGITS):
    recipe = resolve("resnet18", "digits", [])
    return build.build_model(recipe.model_copy(update={"model": settings}), classes)


@pytest.mark.parametrize("named", ["folder", "file"])
def test_a_recipe_starts_from_a_run_whole(run, named):
    start = run if named == "folder" else run / "checkpoint.safetensors"
    # The profile's channels and head are those of another network.
    recipe = resolve("free", "digits", [*initial_weight_overrides(start), "data.classes=3"])
    model = build.build_model(recipe, DIGITS[:3])
    assert model.start.head_kept
    assert model.start.sha256 == file_digest(run / "checkpoint.safetensors")
    own = read_weights(run)
    assert all(torch.equal(value, own[name]) for name, value in model.state_dict().items())


def test_a_checkpoint_that_a_recipe_names_fits_the_same_network(run):
    file = run / "checkpoint.safetensors"
    changes = [*TINY, "model.pretrained=true", f"model.weights={file}"]
    model = build.build_model(resolve("free", "digits", changes), DIGITS[:3])
    assert model.start.head_kept
    with pytest.raises(GratisError, match="does not fit the backbone resnet18"):
        model_of(ModelSettings(pretrained=True, weights=file))


def test_of_a_run_with_other_classes_the_class_layer_is_new(run, caplog):
    recipe = resolve("free", "digits", initial_weight_overrides(run))
    model = build.build_model(recipe, DIGITS)
    assert not model.start.head_kept
    assert "its class layer is dropped and a new one trained" in caplog.text


def test_training_from_a_run_is_noted_and_survives_its_loss(run, tmp_path, monkeypatch):
    start = Path(shutil.copytree(run, tmp_path / "start"))
    made = gratis.train(
        "free",
        data="digits",
        weights=start,
        out=tmp_path / "free",
        overrides=["data.classes=3", "train.epochs=1", *QUICK],
    )
    found = RunFolder(made.path).results()
    assert found.start.file == str(start / "checkpoint.safetensors")
    assert found.start.sha256 == file_digest(run / "checkpoint.safetensors")
    shutil.rmtree(start)
    assert gratis.evaluate(made).start == found.start
    # As if stopped: resumed from its own checkpoint.
    recipe = RunFolder(made.path).recipe()
    seen = []
    monkeypatch.setattr(fitting, "fit", lambda trainer, *_: seen.append(trainer))
    monkeypatch.setattr(fitting.checkpoint, "finished", lambda *_: False)
    with pytest.raises(GratisError, match="gratis resume"):
        training.train_only(recipe, made.path)
    assert seen and seen[0].train_state.module.start is None


def test_a_run_gives_the_settings_of_its_model(run):
    settings = initial_model_settings(str(run))
    assert settings == RunFolder(run).recipe().model.model_copy(
        update={"pretrained": True, "weights": run / "checkpoint.safetensors"}
    )
    assert initial_model_settings(str(run), input_size=16).input_size == 16
    with pytest.raises(GratisError, match="has its own weights; leave out --weights"):
        initial_model_settings(str(run), weights=Path("w.pth"))


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_resnet"])
def test_a_timm_model_with_weights_computes_what_it_did(name, tmp_path):
    torch.manual_seed(0)
    size = 32
    options = {"img_size": size} if name == "test_vit" else {}
    network = timm.create_model(name, num_classes=10, **options).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    settings = initial_model_settings(name, tmp_path / "w.pth", size)
    assert settings.head == HeadSettings(layers=0, dropout=0.0)
    images = torch.rand(2, 3, 8, 8)
    evaluated = ModelSource(name, tmp_path / "w.pth", size).build(10)
    with torch.no_grad():
        trained = model_of(settings).eval()(images).logits
        torch.testing.assert_close(trained, evaluated(images))


def test_a_vit_is_measured_at_the_size_of_its_position_embeddings(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model("test_vit", num_classes=10, img_size=64)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    for size in (None, 64):
        model = ModelSource("test_vit", tmp_path / "w.pth", size).build(10)
        assert model.input_size == 64
        assert torch.equal(model.network.pos_embed, network.pos_embed)
    assert ModelSource("test_vit", tmp_path / "w.pth", 96).build(10).input_size == 96


def test_the_number_of_classes_is_that_of_the_weights(tmp_path):
    network = timm.create_model("test_resnet", num_classes=7)
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"model": state}, tmp_path / "w.pth")
    model = gratis.load("test_resnet", weights=tmp_path / "w.pth")
    assert model(torch.rand(1, 3, 32, 32)).shape == (1, 7)
    with pytest.raises(GratisError, match=r"does not fit test_resnet with 5 classes .*7.* in the"):
        gratis.load("test_resnet", weights=tmp_path / "w.pth", classes=5)


@pytest.fixture
def function(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "start_for_test", raising=False)
    Path("start_for_test.py").write_text(FUNCTION)
    return "start_for_test:build"


def test_the_network_of_a_function_is_trained_as_it_is(function, tmp_path):
    settings = initial_model_settings(function)
    assert not settings.pretrained
    model = model_of(settings)
    images = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    output = model(images)
    torch.testing.assert_close(output.logits, model.backbone(images))
    assert output.embedding is output.logits
    with pytest.raises(GratisError, match=r"returns \(2, 10\); return a network .*\(n, 3\)"):
        model_of(settings, DIGITS[:3])(images)


def test_weights_are_loaded_into_the_network_of_a_function(function, tmp_path):
    state = {"1.weight": torch.ones(10, 192), "1.bias": torch.zeros(10)}
    torch.save({"net": state}, tmp_path / "w.pth")
    trained = model_of(initial_model_settings(function, tmp_path / "w.pth"))
    assert trained.start.head_kept and trained.backbone[1].weight.eq(1).all()
    measured = ModelSource(function, tmp_path / "w.pth").build()
    assert measured[1].weight.eq(1).all()
    found = gratis.evaluate(
        function, "digits", weights=tmp_path / "w.pth", out="out", suite="paper", images=20
    )
    assert found.weights.file == str(tmp_path / "w.pth")
    assert found.weights.sha256 == file_digest(tmp_path / "w.pth")
    assert json.loads(Path("out/results.json").read_text())["weights"]["sha256"]
    with pytest.raises(GratisError, match="lacks 1 of its 2 tensors"):
        torch.save({"1.weight": state["1.weight"]}, tmp_path / "w.pth")
        ModelSource(function, tmp_path / "w.pth").build()


def test_a_network_that_cannot_take_the_images_is_refused_before_training(tmp_path):
    changes = ["model.backbone=test_convnext", "model.channels=null", "model.stem=imagenet"]
    recipe = resolve("resnet18", "digits", [*changes, "data.classes=3"])
    small = load_once(DataSettings(name="digits", classes=3))
    with pytest.raises(GratisError, match=r"test_convnext cannot take images of 8x8 px .*input_si"):
        build.build_trainer(recipe.model_copy(update={"train": _plain(recipe.train)}), small)
    assert not list(tmp_path.iterdir())


def _plain(train):
    return train.model_copy(update={"precision": "32-true"})


@pytest.mark.parametrize(
    ("target", "changes", "message"),
    [
        ("run", {"input_size": 32}, "a run has the input size .*; leave out --input-size"),
        ("run", {"weights": Path("w.pth")}, "a run has its own weights; leave out --weights"),
        ("a.onnx", {"weights": Path("w.pth")}, "an ONNX file has its own weights"),
    ],
)
def test_what_does_not_apply_is_refused(run, target, changes, message):
    with pytest.raises(GratisError, match=message):
        ModelSource(str(run) if target == "run" else target, **changes)


def test_a_name_of_nothing_says_what_a_model_may_be():
    with pytest.raises(GratisError, match="timm has no model 'resnett18'; did you mean"):
        initial_model_settings("resnett18")
