import os
import pickle
import zipfile
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from gratis.errors import GratisError
from gratis.model import Classifier, ModelSettings, read_weights
from gratis.model.weights import load_backbone


def backbone(seed: int = 0, name: str = "resnet18", classes: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return timm.create_model(name, num_classes=classes, channels=(2, 2, 4, 4))


def save(path: Path, state) -> Path:
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_weights_round_trip(tmp_path, suffix):
    trained, fresh = backbone(1), backbone(2)
    trained.bn1.running_mean.add_(3)
    assert not equal(trained, fresh)
    load_backbone(fresh, save(tmp_path / f"w{suffix}", trained.state_dict()))
    assert equal(trained, fresh)


def test_a_class_layer_is_left_out(tmp_path):
    trained, fresh = backbone(1, classes=7), backbone(2)
    load_backbone(fresh, save(tmp_path / "w.pth", trained.state_dict()))
    assert torch.equal(trained.conv1.weight, fresh.conv1.weight)
    assert "fc.weight" in trained.state_dict() and "fc.weight" not in fresh.state_dict()


@pytest.mark.parametrize("wrap", ["state_dict", "model"])
def test_training_checkpoints_and_parallel_names_are_understood(tmp_path, wrap):
    trained, fresh = backbone(1), backbone(2)
    state = {f"module.{name}": value for name, value in trained.state_dict().items()}
    load_backbone(fresh, save(tmp_path / "w.pth", {wrap: state, "epoch": 3}))
    assert equal(trained, fresh)


def test_batch_counts_may_be_missing(tmp_path):
    trained, fresh = backbone(1), backbone(2)
    state = {n: v for n, v in trained.state_dict().items() if "num_batches" not in n}
    load_backbone(fresh, save(tmp_path / "w.safetensors", state))
    assert equal(trained, fresh)


def test_a_classifier_starts_from_the_file(tmp_path):
    torch.manual_seed(1)
    trained = timm.create_model("resnet10t", num_classes=0)
    path = save(tmp_path / "w.safetensors", trained.state_dict())
    settings = ModelSettings(backbone="resnet10t", pretrained=True, weights=path)
    assert equal(trained, Classifier(settings, 3).backbone)


@pytest.mark.parametrize(
    "other, problem",
    [
        (lambda: backbone(name="resnet34"), "layer1.2.conv1.weight has no place"),
        (lambda: timm.create_model("resnet10t", num_classes=0), "conv1.weight is missing"),
        (lambda: torch.nn.Linear(2, 2), "conv1.weight is missing"),
        (lambda: backbone(name="resnet50"), "has shape"),
    ],
)
def test_another_architecture_is_refused_by_the_tensors_name(tmp_path, other, problem):
    path = save(tmp_path / "w.pth", other().state_dict())
    fresh = backbone(2)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with pytest.raises(GratisError) as caught:
        load_backbone(fresh, path)
    for part in (str(path), "does not fit this backbone", problem, "model.backbone"):
        assert part in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())


def test_a_wrong_shape_is_named(tmp_path):
    state = backbone().state_dict()
    state["layer1.0.conv1.weight"] = torch.zeros(2, 2, 1, 1)
    path = save(tmp_path / "w.pth", state)
    with pytest.raises(GratisError, match=r"layer1\.0\.conv1\.weight has shape \(2, 2, 1, 1\)"):
        load_backbone(backbone(), path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_missing_file_is_refused(tmp_path, suffix):
    with pytest.raises(GratisError, match="no such weights file"):
        read_weights(tmp_path / f"none{suffix}")
    with pytest.raises(GratisError, match="no such weights file"):
        read_weights(tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.99])
def test_a_truncated_file_is_refused(tmp_path, suffix, share):
    path = save(tmp_path / f"w{suffix}", backbone().state_dict())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(GratisError, match=rf"w\{suffix}: (is damaged|holds more)"):
        read_weights(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("raw", [b"not weights\n" * 20, bytes(64), b"\xff" * 64])
def test_any_other_file_is_refused(tmp_path, suffix, raw):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(raw)
    with pytest.raises(GratisError, match=r"is damaged or not|holds more than tensors"):
        read_weights(path)


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


def legacy(content, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def plain(content, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def zipped(content, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content))
        archive.writestr("archive/version", "3\n")


@pytest.mark.parametrize("write", [torch.save, legacy, plain, zipped])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_code_in_a_weights_file_never_runs(tmp_path, write, suffix):
    canary = tmp_path / "canary"
    path = tmp_path / f"w{suffix}"
    write({"conv1.weight": Canary(canary)}, path)
    with pytest.raises(GratisError, match=r"is damaged or not|holds more than tensors"):
        read_weights(path)
    assert not canary.exists()


def test_the_canary_runs_when_it_is_unpickled(tmp_path):
    os.system(Canary(tmp_path / "canary").__reduce__()[1][0])
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "content", [torch.zeros(2), [torch.zeros(2)], {"a": 1}, {"a": "b"}, {0: torch.zeros(2)}]
)
def test_other_content_than_a_state_dict_is_refused(tmp_path, content):
    path = tmp_path / "w.pth"
    torch.save(content, path)
    with pytest.raises(GratisError, match="holds no state dict of tensors"):
        read_weights(path)
