"""Checkpoints and pretrained weights that are damaged, wrong or malicious."""

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import timm
import torch
from harness import Case, Trap, Workspace
from safetensors.torch import save_file

from gratis.training import checkpoint_file

State = dict[str, torch.Tensor]


def checkpoint(title: str, damage: Callable[[Workspace, Path], object], *expected: str) -> Case:
    """A finished run whose checkpoint, and any copy of it, is damaged."""

    def prepare(workspace: Workspace) -> list[str]:
        for path in sorted(workspace.run().glob("*checkpoint*.safetensors*")):
            damage(workspace, path)
        return ["evaluate", "run"]

    return Case("Checkpoints", title, prepare, ("checkpoint", *expected))


def weights(
    title: str, name: str, make: Callable[[Workspace, Path], object], *expected: str
) -> Case:
    """A file of pretrained weights."""

    def prepare(workspace: Workspace) -> list[str]:
        make(workspace, workspace.folder / name)
        model = ["model.backbone=test_resnet", "model.pretrained=true", f"model.weights={name}"]
        sizes = ["model.channels=null", "model.stem=imagenet", "model.input_size=32"]
        return ["train", "resnet18", "--out", "run", *model, *sizes]

    return Case("Pretrained weights", title, prepare, (name, *expected))


def cut(_: Workspace, path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(_: Workspace, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def in_place_of(path: Path) -> Path:
    path.unlink()
    return path


def rewritten(
    tensors: Callable[[State], State] = lambda state: state, **metadata: str
) -> Callable[[Workspace, Path], None]:
    """Return a function that changes a checkpoint and updates its checksum."""

    def damage(_: Workspace, path: Path) -> None:
        state, kept = checkpoint_file.read(path)
        checkpoint_file.write(path, tensors(state), kept | metadata)

    return damage


def of_another_run(_: Workspace, path: Path) -> None:
    state, kept = checkpoint_file.read(path)
    identity = json.loads(kept["identity"]) | {"seed": "1"}
    checkpoint_file.write(path, state, kept | {"identity": json.dumps(identity)})


def nan(state: State) -> State:
    first = next(name for name in sorted(state) if state[name].is_floating_point())
    return state | {first: torch.full_like(state[first], torch.nan)}


def header(
    content: dict[str, object], length: int | None = None
) -> Callable[[Workspace, Path], None]:
    """Return a function that writes a safetensors header of a claimed ``length`` in bytes."""
    text = json.dumps(content).encode()

    def write(_: Workspace, path: Path) -> None:
        path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text)

    return write


OVERLAP = {
    name: {"dtype": "F32", "shape": [2], "data_offsets": [start, start + 8]}
    for start, name in enumerate(("model.a", "model.b"))
}
UNKNOWN = {"model.a": {"dtype": "F1", "shape": [2], "data_offsets": [0, 2]}}


def backbone(name: str = "test_resnet") -> State:
    return timm.create_model(name, num_classes=0).state_dict()


def eight_bits(_: Workspace, path: Path) -> None:
    save_file({name: value.to(torch.int8) for name, value in backbone().items()}, path)


CASES = [
    checkpoint("a missing file", lambda _, path: path.unlink(), "no such checkpoint"),
    checkpoint("an empty file", lambda _, path: path.write_bytes(b""), "damaged"),
    checkpoint("a truncated file", cut, "damaged"),
    checkpoint(
        "a folder instead of the file", lambda _, path: in_place_of(path).mkdir(), "no such"
    ),
    checkpoint("a header that claims 2**60 bytes", header({}, 2**60), "damaged"),
    checkpoint("tensors that overlap", header(OVERLAP), "damaged"),
    checkpoint("an unknown data type", header(UNKNOWN), "damaged"),
    checkpoint(
        "a pickle that runs a command",
        lambda workspace, path: path.write_bytes(pickle.dumps(Trap(workspace.canary))),
        "damaged",
    ),
    checkpoint(
        "a torch.save file that runs a command",
        lambda workspace, path: torch.save({"model": Trap(workspace.canary)}, path),
        "damaged",
    ),
    checkpoint("the tensors of another program", lambda _, path: save_file(backbone(), path)),
    checkpoint("the checkpoint of another run", of_another_run, "seed was 1, is 0"),
    checkpoint(
        "the checkpoint of another architecture",
        rewritten(lambda state: {name.replace("layer1", "x"): v for name, v in state.items()}),
        "another model",
    ),
    checkpoint("NaN weights", rewritten(nan), "not finite"),
    checkpoint("a training position that is not JSON", rewritten(position="{"), "damaged"),
    checkpoint("one changed byte", flip, "checksum"),
    weights("a missing file", "w.pth", lambda *_: None, "no such weights file"),
    weights("an empty file", "w.pth", lambda _, path: path.touch(), "damaged"),
    weights("text", "w.safetensors", lambda _, path: path.write_text("weights"), "damaged"),
    weights(
        "a truncated file",
        "w.safetensors",
        lambda workspace, path: (save_file(backbone(), path), cut(workspace, path)),
        "damaged",
    ),
    weights(
        "a pickle that runs a command",
        "w.pth",
        lambda workspace, path: path.write_bytes(pickle.dumps({"a": Trap(workspace.canary)})),
    ),
    weights(
        "a pickle called .safetensors",
        "w.safetensors",
        lambda workspace, path: path.write_bytes(pickle.dumps({"a": Trap(workspace.canary)})),
        "damaged",
    ),
    weights(
        "a torch.save file that runs a command",
        "w.pth",
        lambda workspace, path: torch.save({"a": Trap(workspace.canary)}, path),
        "holds other objects than tensors",
    ),
    weights(
        "weights of another backbone",
        "w.safetensors",
        lambda _, path: save_file(backbone("test_vit"), path),
        "does not fit the backbone",
    ),
    weights(
        "weights with NaN",
        "w.safetensors",
        lambda _, path: save_file(nan(backbone()), path),
        "NaN",
    ),
    weights("8-bit integers", "w.safetensors", eight_bits, "not a plain tensor"),
]
