"""A classifier starts from weights of any origin, and keeps their class layer where it fits."""

import logging

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from gratis.digests import file_digest
from gratis.errors import GratisError
from gratis.model import (
    Classifier,
    DenoiserSettings,
    HeadSettings,
    ModelSettings,
    load_initial_weights,
    networks,
)
from gratis.model.stored_facts import StoredFacts

PETS = ("cat", "dog", "hamster")
PLAIN = HeadSettings(layers=0, dropout=0.0)


def classifier(path, classes=PETS, known=None, name="test_resnet", **changes):
    """A classifier that starts from the file, and what it kept."""
    changes = {"head": PLAIN, "backbone": name} | changes
    settings = ModelSettings(pretrained=True, weights=path, **changes)
    torch.manual_seed(0)
    model = Classifier(settings, len(classes)).eval()
    return model, load_initial_weights(model, classes, known)


def trained(tmp_path, name="test_resnet", classes=3, **options):
    torch.manual_seed(1)
    network = timm.create_model(name, num_classes=classes, **options).eval()
    # The class layers of some networks start at zero.
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1) if not parameter.any() else None
    torch.save(network.state_dict(), tmp_path / "w.pth")
    return network, tmp_path / "w.pth"


# One of every kind of class layer: after pooling, after a norm, after a hidden layer, a token's.
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("test_resnet", 32),
        ("test_convnext", 32),
        ("test_vit", 32),
        ("test_vit", 160),
        ("test_efficientnet", 32),
        ("test_byobnet", 32),
        ("mobilenetv3_small_050", 32),
    ],
)
def test_a_classifier_computes_what_the_weights_did(tmp_path, name, size):
    options = {"img_size": size} if "vit" in name else {}
    network, path = trained(tmp_path, name, **options)
    model, start = classifier(path, name=name, input_size=size)
    assert start.head_kept
    assert (start.file, start.sha256) == (str(path), file_digest(path))
    images = torch.rand(2, 3, size, size)
    mean, std = (torch.tensor(network.pretrained_cfg[k]).view(1, 3, 1, 1) for k in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(model(images).logits, network((images - mean) / std))


def test_a_vit_takes_its_own_size_where_none_is_given(tmp_path):
    _, path = trained(tmp_path, "test_vit")
    model, _ = classifier(path, name="test_vit")
    assert model.input_size == 160
    assert model(torch.rand(1, 3, 64, 64)).logits.shape == (1, 3)


def test_another_number_of_classes_gives_a_new_class_layer_which_is_logged(tmp_path, caplog):
    network, path = trained(tmp_path, classes=10)
    with caplog.at_level(logging.INFO):
        model, start = classifier(path)
    assert not start.head_kept
    assert "its class layer is dropped" in caplog.text
    assert "the file has 10 classes, the data 3" in caplog.text
    own = network.state_dict()
    assert all(torch.equal(v, own[k]) for k, v in model.backbone.state_dict().items())


def test_a_class_layer_that_fits_by_its_number_alone_is_kept_aloud(tmp_path, caplog):
    network, path = trained(tmp_path)
    with caplog.at_level(logging.INFO):
        model, start = classifier(path)
    assert start.head_kept
    assert "its class layer of 3 classes is kept, though it has no names for them" in caplog.text
    assert "model.new_class_layer=true replaces it" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        model, start = classifier(path, new_class_layer=True)
    assert not start.head_kept and "(model.new_class_layer is true)" in caplog.text
    assert not torch.equal(model.head.classes.weight, network.fc.weight)
    assert torch.equal(model.backbone.conv1[0].weight, network.conv1[0].weight)


@pytest.mark.parametrize(("names", "kept"), [(PETS[::-1], True), (("0", "1", "2"), False)])
def test_the_names_in_a_file_that_gratis_exported_count(tmp_path, names, kept):
    network, _ = trained(tmp_path)
    metadata = StoredFacts(classes=names, image_size=8).to_text()
    path = tmp_path / "w.safetensors"
    save_file(network.state_dict(), path, metadata)
    model, start = classifier(path)
    assert start.head_kept is kept
    if kept:
        assert torch.equal(model.head.classes.weight, network.fc.weight.flip(0))


def test_hidden_layers_have_no_place_for_another_class_layer(tmp_path, caplog):
    _, path = trained(tmp_path)
    with caplog.at_level(logging.INFO):
        _, start = classifier(path, head=HeadSettings(width=8))
    assert not start.head_kept
    assert "its head is dropped and a new one trained (this one has 3 hidden layers)" in caplog.text


def run_checkpoint(tmp_path, **changes):
    torch.manual_seed(1)
    model = Classifier(ModelSettings(backbone="test_resnet", **changes), 3)
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    torch.save(state, tmp_path / "checkpoint.pth")
    return model.eval(), tmp_path / "checkpoint.pth"


@pytest.mark.parametrize("head", [PLAIN, HeadSettings(width=8, layers=2)])
def test_of_a_run_the_classes_of_the_same_name_are_kept(tmp_path, head):
    before, path = run_checkpoint(tmp_path, head=head)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        logits = before(images).logits
        for classes in (PETS, PETS[::-1], ("hamster", "cat")):
            model, start = classifier(path, classes, PETS, head=head)
            assert start.head_kept
            places = [PETS.index(name) for name in classes]
            torch.testing.assert_close(model(images).logits, logits[:, places])


def test_of_a_run_the_head_is_dropped_where_a_class_is_another(tmp_path, caplog):
    before, path = run_checkpoint(tmp_path, head=HeadSettings(width=8))
    classes = ("cat", "dog", "horse")
    model, start = classifier(path, classes, PETS, head=HeadSettings(width=8))
    assert not start.head_kept
    assert "its class layer is dropped" in caplog.text
    assert "1 of 3 classes are others, such as 'horse'" in caplog.text
    assert torch.equal(model.head.hidden[0].weight, before.head.hidden[0].weight)
    assert not torch.equal(model.head.classes.weight, before.head.classes.weight)


def test_of_a_run_denoiser_and_narrow_backbone_are_kept(tmp_path, caplog):
    shape = {"channels": (4, 4, 8, 8), "stem": "small", "backbone": "resnet18"}
    torch.manual_seed(1)
    settings = ModelSettings(denoiser=DenoiserSettings(width=4), head=PLAIN, **shape)
    before = Classifier(settings, 3).eval()
    nn.init.normal_(before.denoiser.decoder[3].weight)
    path = tmp_path / "checkpoint.pth"
    torch.save({f"model.{k}": v for k, v in before.state_dict().items()}, path)
    changes = {key: value for key, value in shape.items() if key != "backbone"}
    same, _ = classifier(
        path, PETS, PETS, name="resnet18", denoiser=DenoiserSettings(width=4), **changes
    )
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(same(images), before(images))
    classifier(path, PETS, PETS, name="resnet18", **changes)
    assert "its denoiser is not used" in caplog.text


def test_missing_and_unused_tensors_are_listed(tmp_path, caplog):
    network, path = trained(tmp_path)
    state = network.state_dict()
    del state["bn1.bias"]
    state["epoch_mean.weight"] = torch.zeros(1)
    torch.save(state, path)
    classifier(path)
    assert "lacks 1 tensors, which keep random values: bn1.bias" in caplog.text
    assert "1 tensors are not used: epoch_mean.weight" in caplog.text


def test_a_folder_in_timms_format_brings_its_weights_and_its_class_names(tmp_path):
    network, _ = trained(tmp_path)
    names = {"label_names": list(PETS)}
    timm.models.save_for_hf(network, tmp_path / "saved", names, safe_serialization=True)
    for classes, kept in ((PETS, True), (("a", "b", "c"), False)):
        model, start = classifier(None, classes, name=f"local-dir:{tmp_path / 'saved'}")
        assert start.head_kept == kept
        assert start.file.endswith("model.safetensors")
        own = network.state_dict()
        assert all(torch.equal(v, own[k]) for k, v in model.backbone.state_dict().items())


@pytest.mark.parametrize("name", ["local-dir:nowhere", "local-dir:."])
def test_a_folder_that_is_none_of_timms_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GratisError, match=r"is no folder of timm's .*config\.json"):
        classifier(None, name=name)


def test_a_name_that_timm_does_not_have_is_refused(tmp_path):
    with pytest.raises(GratisError, match="timm has no model 'resnett18'; did you mean"):
        classifier(tmp_path / "w.pth", name="resnett18")


def test_timms_own_weights_are_downloaded_and_a_class_layer_that_fits_is_kept(monkeypatch):
    network = timm.create_model("test_resnet", num_classes=3)

    def create_model(*_, **options):
        assert options == {"pretrained": True}
        return network

    model = Classifier(ModelSettings(backbone="test_resnet", pretrained=True, head=PLAIN), 3)
    monkeypatch.setattr(networks, "missing", lambda *_: None)
    monkeypatch.setattr(timm, "create_model", create_model)
    start = load_initial_weights(model, PETS)
    assert start.head_kept and start.sha256 is None and start.file == "test_resnet"
    assert torch.equal(model.head.classes.weight, network.fc.weight)


def test_weights_that_cannot_be_downloaded_are_an_error_with_a_remedy(monkeypatch):
    def create_model(*_, **__):
        raise ConnectionError("no route")

    model = Classifier(ModelSettings(backbone="test_resnet", pretrained=True), 3)
    monkeypatch.setattr(networks, "missing", lambda *_: None)
    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(GratisError) as caught:
        load_initial_weights(model, PETS)
    for part in ("test_resnet", "ConnectionError", "model.weights=FILE", "model.pretrained=false"):
        assert part in str(caught.value)
