"""Checkpoints and pretrained weights that are damaged, of something else, or traps."""

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import timm
import torch
from offer import Case, Place, Trap
from safetensors.torch import save_file

from gratis.training import checkpoint_file

State = dict[str, torch.Tensor]


def checkpoint(offered: str, damage: Callable[[Place, Path], object], *says: str) -> Case:
    """A finished run whose checkpoint, with its copies if it has any, is damaged."""

    def prepare(place: Place) -> list[str]:
        for path in sorted(place.run().glob("*checkpoint*.safetensors*")):
            damage(place, path)
        return ["evaluate", "run"]

    return Case("Checkpoints", offered, prepare, ("checkpoint", *says))


def weights(offered: str, name: str, make: Callable[[Place, Path], object], *says: str) -> Case:
    """A file of pretrained weights."""

    def prepare(place: Place) -> list[str]:
        make(place, place.folder / name)
        model = ["model.backbone=test_resnet", "model.pretrained=true", f"model.weights={name}"]
        sizes = ["model.channels=null", "model.stem=imagenet", "model.input_size=32"]
        return ["train", "resnet18", "--out", "run", *model, *sizes]

    return Case("Pretrained weights", offered, prepare, (name, *says))


def cut(_: Place, path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(_: Place, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def in_place_of(path: Path) -> Path:
    path.unlink()
    return path


def rewritten(
    tensors: Callable[[State], State] = lambda state: state, **metadata: str
) -> Callable[[Place, Path], None]:
    """Return what seals a checkpoint again, changed, as a stranger can."""

    def damage(_: Place, path: Path) -> None:
        state, kept = checkpoint_file.read(path)
        checkpoint_file.write(path, tensors(state), kept | metadata)

    return damage


def of_another_run(_: Place, path: Path) -> None:
    state, kept = checkpoint_file.read(path)
    identity = json.loads(kept["identity"]) | {"seed": "1"}
    checkpoint_file.write(path, state, kept | {"identity": json.dumps(identity)})


def nan(state: State) -> State:
    first = next(name for name in sorted(state) if state[name].is_floating_point())
    return state | {first: torch.full_like(state[first], torch.nan)}


def header(content: dict[str, object], length: int | None = None) -> Callable[[Place, Path], None]:
    """Return what writes a file of safetensors with a header that claims ``length`` bytes."""
    text = json.dumps(content).encode()

    def write(_: Place, path: Path) -> None:
        path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text)

    return write


OVERLAP = {
    name: {"dtype": "F32", "shape": [2], "data_offsets": [start, start + 8]}
    for start, name in enumerate(("model.a", "model.b"))
}
UNKNOWN = {"model.a": {"dtype": "F1", "shape": [2], "data_offsets": [0, 2]}}


def backbone(name: str = "test_resnet") -> State:
    return timm.create_model(name, num_classes=0).state_dict()


def eight_bits(_: Place, path: Path) -> None:
    save_file({name: value.to(torch.int8) for name, value in backbone().items()}, path)


CASES = [
    checkpoint("one that is not there", lambda _, path: path.unlink(), "no such checkpoint"),
    checkpoint("one of zero bytes", lambda _, path: path.write_bytes(b""), "damaged"),
    checkpoint("one that is cut", cut, "damaged"),
    checkpoint("a folder in its place", lambda _, path: in_place_of(path).mkdir(), "no such"),
    checkpoint("a header that claims 2**60 bytes", header({}, 2**60), "damaged"),
    checkpoint("tensors that overlap", header(OVERLAP), "damaged"),
    checkpoint("a type of numbers that does not exist", header(UNKNOWN), "damaged"),
    checkpoint(
        "a pickle that runs a command",
        lambda place, path: path.write_bytes(pickle.dumps(Trap(place.canary))),
        "damaged",
    ),
    checkpoint(
        "a torch.save file that runs a command",
        lambda place, path: torch.save({"model": Trap(place.canary)}, path),
        "damaged",
    ),
    checkpoint("another program's tensors", lambda _, path: save_file(backbone(), path)),
    checkpoint("that of another run", of_another_run, "seed was 1, is 0"),
    checkpoint(
        "another architecture's",
        rewritten(lambda state: {name.replace("layer1", "x"): v for name, v in state.items()}),
        "another model",
    ),
    checkpoint("one with NaN weights", rewritten(nan), "not finite"),
    checkpoint("one whose place in training is no JSON", rewritten(position="{"), "damaged"),
    checkpoint("one changed byte", flip, "checksum"),
    weights("a file that is not there", "w.pth", lambda *_: None, "no such weights file"),
    weights("a file of zero bytes", "w.pth", lambda _, path: path.touch(), "damaged"),
    weights("text", "w.safetensors", lambda _, path: path.write_text("weights"), "damaged"),
    weights(
        "a file that is cut",
        "w.safetensors",
        lambda place, path: (save_file(backbone(), path), cut(place, path)),
        "damaged",
    ),
    weights(
        "a pickle that runs a command",
        "w.pth",
        lambda place, path: path.write_bytes(pickle.dumps({"a": Trap(place.canary)})),
    ),
    weights(
        "the same, called .safetensors",
        "w.safetensors",
        lambda place, path: path.write_bytes(pickle.dumps({"a": Trap(place.canary)})),
        "damaged",
    ),
    weights(
        "a torch.save file that runs a command",
        "w.pth",
        lambda place, path: torch.save({"a": Trap(place.canary)}, path),
        "holds more than tensors",
    ),
    weights(
        "those of another backbone",
        "w.safetensors",
        lambda _, path: save_file(backbone("test_vit"), path),
        "does not fit this backbone",
    ),
    weights(
        "weights with NaN",
        "w.safetensors",
        lambda _, path: save_file(nan(backbone()), path),
        "NaN",
    ),
    weights("integers of 8 bits", "w.safetensors", eight_bits, "not a plain tensor"),
]
