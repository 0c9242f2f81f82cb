"""Perturbed sets and run folders that were changed, swapped or damaged."""

import hashlib
import io
import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from offer import REPRODUCE, Case, Place, Trap

Damage = Callable[[Place, Path], object]


def sets(offered: str, damage: Damage, *says: str) -> Case:
    """Perturbed sets to measure a run on."""

    def prepare(place: Place) -> list[str]:
        damage(place, place.sets())
        return ["evaluate", "run", "--sets", "sets"]

    return Case("Perturbed sets", offered, prepare, ("sets", *says))


def vouched(offered: str, content: Callable[[Place, Path], bytes], *says: str) -> Case:
    """The same, where the manifest has the changed file's own hash."""

    def damage(place: Place, folder: Path) -> None:
        path = folder / "geometric.npy"
        path.write_bytes(content(place, path))
        vouch(folder, "geometric")

    return sets(offered, damage, "geometric.npy", *says)


def vouch(folder: Path, name: str) -> None:
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


def roll(_: Place, folder: Path) -> None:
    path = folder / "labels.npy"
    np.save(path, np.roll(np.load(path), 1))
    vouch(folder, "labels")


def npy(header: str, version: int = 1, length: int | None = None) -> bytes:
    text = header.encode()
    claimed = struct.pack("<H" if version == 1 else "<I", length or len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + claimed + text


def shaped(shape: str) -> bytes:
    return npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n")


def objects(place: Place, _: Path) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Trap(place.canary)], dtype=object), allow_pickle=True)
    return file.getvalue()


def archived(_: Place, path: Path) -> bytes:
    file = io.BytesIO()
    np.savez(file, geometric=np.load(path))
    return file.getvalue()


def a_file(_: Place, folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


def runs(offered: str, name: str, damage: Callable[[Path], object], *says: str) -> Case:
    """A finished reproduction, one of whose files is damaged, and the same command again."""

    def prepare(place: Place) -> list[str]:
        (found,) = place.out().glob(name)
        damage(found)
        return REPRODUCE

    return Case("Runs", offered, prepare, (Path(name).name, *says))


def folder(
    offered: str, make: Callable[[Place], list[str]], *says: str, section: str = "Runs"
) -> Case:
    """A folder for a run, and the command that names it."""
    return Case(section, offered, make, says)


def no_run(place: Place) -> list[str]:
    (place.folder / "photos").mkdir()
    return ["resume", "photos"]


def gone(place: Place) -> list[str]:
    note = {"sets": str(place.folder / "moved")}
    (place.run() / "sets.json").write_text(json.dumps(note))
    return ["evaluate", "run"]


def another_recipe(place: Place) -> list[str]:
    place.run()
    return ["train", "free", "--out", "run"]


def other_keys(place: Place) -> list[str]:
    place.run()
    return ["evaluate", "run", "train.epochs=3"]


def into_photos(place: Place) -> list[str]:
    place.run()
    (place.folder / "photos").mkdir()
    (place.folder / "photos" / "cat.jpg").touch()
    return ["perturb", "run", "--out", "photos"]


def write(content: bytes) -> Callable[[Path], int]:
    return lambda path: path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


FREE = "runs/free-seed0"
CASES = [
    sets("a folder that is not there", lambda _, folder: shutil.rmtree(folder), "does not exist"),
    sets("a file", a_file, "manifest.json"),
    sets("one changed byte", lambda _, f: flip(f / "transfer.npy"), "transfer.npy", "was changed"),
    sets(
        "a missing file",
        lambda _, folder: (folder / "fgsm_transfer.npy").unlink(),
        *("fgsm_transfer.npy", "No such file"),
    ),
    sets("no manifest", lambda _, folder: (folder / "manifest.json").unlink(), "manifest.json"),
    sets(
        "a manifest that is no JSON",
        lambda _, folder: (folder / "manifest.json").write_text("{"),
        *("manifest.json", "not readable JSON"),
    ),
    sets("a manifest of another version", lambda _, f: edit(f, format=2), "manifest.json: format"),
    sets("a manifest without hashes", lambda _, f: edit(f, files={}), "must list"),
    sets("a manifest with a budget of NaN", lambda _, f: edit(f, epsilon=np.nan), "epsilon"),
    sets("sets of another split", lambda _, f: edit(f, split="0" * 64), "another validation split"),
    sets("labels that were swapped", roll, "labels.npy"),
    vouched(
        "a pickle that runs a command, called .npy",
        lambda place, _: pickle.dumps(Trap(place.canary)),
    ),
    vouched("an array of objects that runs a command", objects, "cannot be read"),
    vouched("an archive called .npy", archived, "cannot be read"),
    vouched("a header that claims 10**12 images", lambda *_: shaped(f"({10**12},)")),
    vouched("a header of 4 GB", lambda *_: npy("{", 2, 2**32 - 1), "not a plain array"),
    vouched("a header that is no Python", lambda *_: npy("{'descr': (\n"), "cannot be read"),
    vouched("another shape", lambda *_: shaped("(0,)"), "does not fit"),
    runs("a results.json that is cut", f"{FREE}/results.json", cut, "not readable JSON"),
    runs("a results.json of something else", f"{FREE}/results.json", write(b"[1]"), "dictionary"),
    runs("a correct.safetensors that is cut", f"{FREE}/correct.safetensors", cut),
    runs("a correct.safetensors of zero bytes", f"{FREE}/correct.safetensors", write(b"")),
    runs("a sets.json of something else", f"{FREE}/sets.json", write(b"[1]"), "is damaged"),
    runs("a recipe.yaml that is cut", f"{FREE}/recipe.yaml", write(b"title: [")),
    runs("a manifest that is cut", "perturbed/manifest.json", cut, "not readable JSON"),
    folder("a folder without a run", no_run, "photos", "not a run folder"),
    folder("a run whose sets are gone", gone, "moved", "are gone"),
    folder("a folder with another recipe's run", another_recipe, "run: holds a run of another"),
    folder("other settings for a trained run", other_keys, "evaluate.*"),
    folder("sets into a folder of photographs", into_photos, "photos", "cat.jpg"),
]
