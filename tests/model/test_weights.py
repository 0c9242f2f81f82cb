"""Files of weights in every usual shape are read, and nothing in them runs."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gratis.errors import GratisError
from gratis.model import read_weights

STATE = {"conv1.weight": torch.arange(6.0).reshape(2, 3), "conv1.bias": torch.ones(2)}
OTHER = {name: value + 7 for name, value in STATE.items()}


def save(path: Path, state) -> Path:
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


def is_state(found) -> bool:
    return found.keys() == STATE.keys() and all(torch.equal(found[k], STATE[k]) for k in STATE)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_weights_round_trip(tmp_path, suffix):
    assert is_state(read_weights(save(tmp_path / f"w{suffix}", STATE)))


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
        {"model_state_dict": STATE, "loss": 0.5},
        {"net": STATE, "acc": 90.0},
        {"state_dict": OTHER, "state_dict_ema": STATE},
        {"model": OTHER, "ema": STATE},
        {"model": OTHER, "ema": {"decay": 0.9, "module": STATE}},
        {"model": {"state_dict": STATE}},
        {**STATE, "epoch": 3},
        {"ema": None, "model": STATE},
        {"ema": {"decay": 0.9}, "model": STATE},
    ],
)
def test_training_checkpoints_are_understood(tmp_path, content):
    assert is_state(read_weights(save(tmp_path / "w.pth", content)))


# Entries that do not hold the weights, though their names say so.
@pytest.mark.parametrize(
    ("content", "taken"),
    [
        (
            {"ema": {"decay": torch.tensor(0.999), "updates": torch.tensor(5)}, "model": STATE},
            "model",
        ),
        ({"ema": {"conv1.bias": OTHER["conv1.bias"]}, "state_dict": STATE}, "state_dict"),
        ({"model_ema": {"module": {"x": torch.ones(1)}}, "net": STATE}, "net"),
        ({"weights": torch.ones(3), "state_dict": OTHER, "ema": STATE}, "ema"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_the_entry_that_holds_the_weights_is_taken_and_named(
    tmp_path, caplog, content, taken, named
):
    caplog.set_level("INFO")

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = torch.nn.Linear(3, 2)

    found = read_weights(save(tmp_path / "w.pth", content), Network if named else None)
    assert is_state(found)
    assert f"w.pth: the weights under {taken!r} are used, and not those under " in caplog.text


def test_the_entry_of_the_right_shapes_is_taken(tmp_path):
    larger = {f"layer{number}.weight": torch.ones(7, 7) for number in range(9)}
    path = save(tmp_path / "w.pth", {"ema": larger, "model": {"module.0.weight": torch.ones(2, 3)}})
    found = read_weights(path, lambda: torch.nn.Sequential(torch.nn.Linear(3, 2)))
    assert list(found) == ["module.0.weight"]
    assert set(read_weights(path)) == set(larger)


def test_of_a_run_the_averaged_classifier_is_read(tmp_path):
    def named(prefix, amount):
        names = ("backbone.conv1.weight", "head.classes.weight", "denoiser.encoder.1.weight")
        return {f"{prefix}.{name}": torch.full((2,), amount) for name in names}

    checkpoint = named("model", 1.0) | {"optimizer.0.momentum_buffer": torch.zeros(2)}
    path = save(tmp_path / "checkpoint.safetensors", checkpoint)
    for file in (path, tmp_path):
        found = read_weights(file)
        assert set(found) == {k.removeprefix("model.") for k in named("model", 1.0)}
    save(path, checkpoint | named("average.module", 2.0))
    assert all(value.eq(2).all() for value in read_weights(path).values())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_missing_file_is_refused(tmp_path, suffix):
    with pytest.raises(GratisError, match="no such weights file"):
        read_weights(tmp_path / f"none{suffix}")
    with pytest.raises(GratisError, match=r"checkpoint\.safetensors: no such weights file"):
        read_weights(tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.99])
def test_a_truncated_file_is_refused(tmp_path, suffix, share):
    path = save(tmp_path / f"w{suffix}", STATE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(GratisError, match=rf"w\{suffix}: (is damaged|holds other)"):
        read_weights(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("raw", [b"not weights\n" * 20, bytes(64), b"\xff" * 64])
def test_any_other_file_is_refused(tmp_path, suffix, raw):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(raw)
    with pytest.raises(GratisError, match=r"is damaged or not|holds other objects than tensors"):
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
    with pytest.raises(GratisError, match=r"is damaged or not|holds other objects than tensors"):
        read_weights(path)
    assert not canary.exists()


def test_the_canary_runs_when_it_is_unpickled(tmp_path):
    os.system(Canary(tmp_path / "canary").__reduce__()[1][0])
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "content", [torch.zeros(2), [torch.zeros(2)], {"a": 1}, {"a": "b"}, {0: torch.zeros(2)}, None]
)
def test_other_content_than_a_state_dict_is_refused(tmp_path, content):
    path = tmp_path / "w.pth"
    torch.save(content, path)
    with pytest.raises(GratisError, match="holds no state dict of tensors"):
        read_weights(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_torchscript_archive_is_named(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "w.pt"))
    with pytest.raises(GratisError, match=r"is a TorchScript archive; save torch\.jit\.load"):
        read_weights(tmp_path / "w.pt")


def test_a_pickled_module_is_refused_with_a_remedy(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(
        GratisError, match=r"other objects than tensors.*torch\.save\(model\.state_dict"
    ):
        read_weights(tmp_path / "w.pt")
