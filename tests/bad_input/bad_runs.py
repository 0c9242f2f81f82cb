"""Perturbed sets and run folders that are changed, swapped or damaged."""

import hashlib
import io
import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import REPRODUCE, Case, Trap, Workspace

Damage = Callable[[Workspace, Path], object]


def sets(title: str, damage: Damage, *expected: str) -> Case:
    """Perturbed sets to evaluate a run on."""

    def prepare(workspace: Workspace) -> list[str]:
        damage(workspace, workspace.sets())
        return ["evaluate", "run", "--sets", "sets"]

    return Case("Perturbed sets", title, prepare, ("sets", *expected))


def with_right_digest(
    title: str, content: Callable[[Workspace, Path], bytes], *expected: str
) -> Case:
    """Perturbed sets with a changed file whose digest in the manifest is right."""

    def damage(workspace: Workspace, folder: Path) -> None:
        path = folder / "geometric.npy"
        path.write_bytes(content(workspace, path))
        update_digest(folder, "geometric")

    return sets(title, damage, "geometric.npy", *expected)


def update_digest(folder: Path, name: str) -> None:
    digest = hashlib.sha256((folder / f"{name}.npy").read_bytes()).hexdigest()
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit(folder, files=files | {name: digest})


def edit(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def roll(_: Workspace, folder: Path) -> None:
    path = folder / "labels.npy"
    np.save(path, np.roll(np.load(path), 1))
    update_digest(folder, "labels")


def npy(header: str, version: int = 1, length: int | None = None) -> bytes:
    text = header.encode()
    claimed = struct.pack("<H" if version == 1 else "<I", length or len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + claimed + text


def shaped(shape: str) -> bytes:
    return npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n")


def objects(workspace: Workspace, _: Path) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Trap(workspace.canary)], dtype=object), allow_pickle=True)
    return file.getvalue()


def archived(_: Workspace, path: Path) -> bytes:
    file = io.BytesIO()
    np.savez(file, geometric=np.load(path))
    return file.getvalue()


def a_file(_: Workspace, folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


def runs(title: str, name: str, damage: Callable[[Path], object], *expected: str) -> Case:
    """A finished reproduction with a damaged file, and the same command again."""

    def prepare(workspace: Workspace) -> list[str]:
        (found,) = workspace.out().glob(name)
        damage(found)
        return REPRODUCE

    return Case("Runs", title, prepare, (Path(name).name, *expected))


def folder(
    title: str, make: Callable[[Workspace], list[str]], *expected: str, section: str = "Runs"
) -> Case:
    """A command that needs a folder which ``make`` creates."""
    return Case(section, title, make, expected)


def no_run(workspace: Workspace) -> list[str]:
    (workspace.folder / "photos").mkdir()
    return ["resume", "photos"]


def gone(workspace: Workspace) -> list[str]:
    note = {"sets": str(workspace.folder / "moved")}
    (workspace.run() / "sets.json").write_text(json.dumps(note))
    return ["evaluate", "run"]


def another_recipe(workspace: Workspace) -> list[str]:
    workspace.run()
    return ["train", "free", "--out", "run"]


def other_keys(workspace: Workspace) -> list[str]:
    workspace.run()
    return ["evaluate", "run", "train.epochs=3"]


def into_photos(workspace: Workspace) -> list[str]:
    workspace.run()
    (workspace.folder / "photos").mkdir()
    (workspace.folder / "photos" / "cat.jpg").touch()
    return ["perturb", "run", "--out", "photos"]


def write(content: bytes) -> Callable[[Path], int]:
    return lambda path: path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


FREE = "runs/free-seed0"
CASES = [
    sets("a missing folder", lambda _, folder: shutil.rmtree(folder), "does not exist"),
    sets("a file instead of a folder", a_file, "manifest.json"),
    sets("one changed byte", lambda _, f: flip(f / "transfer.npy"), "transfer.npy", "was changed"),
    sets(
        "a missing file",
        lambda _, folder: (folder / "fgsm_transfer.npy").unlink(),
        *("fgsm_transfer.npy", "No such file"),
    ),
    sets("no manifest", lambda _, folder: (folder / "manifest.json").unlink(), "manifest.json"),
    sets(
        "a manifest that is not JSON",
        lambda _, folder: (folder / "manifest.json").write_text("{"),
        *("manifest.json", "not readable JSON"),
    ),
    sets("a manifest of another version", lambda _, f: edit(f, format=99), "manifest.json: format"),
    sets("a manifest without hashes", lambda _, f: edit(f, files={}), "must list"),
    sets("a manifest with an epsilon of NaN", lambda _, f: edit(f, epsilon=np.nan), "epsilon"),
    sets("sets of another split", lambda _, f: edit(f, split="0" * 64), "another validation split"),
    sets("labels that were swapped", roll, "labels.npy"),
    with_right_digest(
        "a pickle that runs a command, called .npy",
        lambda workspace, _: pickle.dumps(Trap(workspace.canary)),
    ),
    with_right_digest("an array of objects that runs a command", objects, "cannot be read"),
    with_right_digest("an archive called .npy", archived, "cannot be read"),
    with_right_digest("a header that claims 10**12 images", lambda *_: shaped(f"({10**12},)")),
    with_right_digest("a header of 4 GB", lambda *_: npy("{", 2, 2**32 - 1), "not a plain"),
    with_right_digest(
        "a header that is not Python", lambda *_: npy("{'descr': (\n"), "cannot be read"
    ),
    with_right_digest("an array of another shape", lambda *_: shaped("(0,)"), "does not fit"),
    runs("a truncated results.json", f"{FREE}/results.json", cut, "not readable JSON"),
    runs("a results.json of something else", f"{FREE}/results.json", write(b"[1]"), "dictionary"),
    runs("a truncated correct.safetensors", f"{FREE}/correct.safetensors", cut),
    runs("an empty correct.safetensors", f"{FREE}/correct.safetensors", write(b"")),
    runs("a sets.json of something else", f"{FREE}/sets.json", write(b"[1]"), "is damaged"),
    runs("a truncated recipe.yaml", f"{FREE}/recipe.yaml", write(b"title: [")),
    runs("a truncated manifest", "perturbed/manifest.json", cut, "not readable JSON"),
    folder("a folder without a run", no_run, "photos", "not a run folder"),
    folder("a run whose sets are missing", gone, "moved", "are gone"),
    folder("a folder with another recipe's run", another_recipe, "run: holds a run of another"),
    folder("other settings for a trained run", other_keys, "evaluate.*"),
    folder("sets into a folder of photographs", into_photos, "photos", "cat.jpg"),
]
