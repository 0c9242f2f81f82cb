"""The targets of ``fuzz.py``: valid files to damage, and the functions that read them."""

import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import torch
from hypothesis import strategies as st
from lightning_fabric import Fabric
from PIL import Image
from torch import nn

from gratis.adversary import ADVERSARIES
from gratis.data.archive import extract
from gratis.data.dataset import Split
from gratis.data.images import read_image
from gratis.digests import file_digest
from gratis.errors import GratisError
from gratis.files import atomic_folder
from gratis.objective import Objective
from gratis.packaged import profile_names, profile_path, recipe_names, recipe_path
from gratis.recipe import Recipe, load_profile, read_recipe, resolve
from gratis.training import checkpoint, checkpoint_file
from gratis.training.position import Position
from gratis.training.step import TrainState
from gratis.validation_sets import build, load
from gratis.yaml_files import dump_yaml, read_yaml

# The name of a file or of a part of it, and its content.
Offer = tuple[str, bytes]


@dataclass(frozen=True)
class Target:
    """A reader to fuzz.

    Attributes:
        offers: returns valid files for a key.
        read: reads ``(name, content)`` in an empty folder.
    """

    offers: Callable[[str], list[Offer]]
    read: Callable[[str, bytes, Path], None]


# Recipes and profiles


@cache
def _packaged() -> list[bytes]:
    paths = [recipe_path(name) for name in recipe_names()]
    return [path.read_bytes() for path in [*paths, *map(profile_path, profile_names())]]


@cache
def _documents() -> st.SearchStrategy[dict[str, Any]]:
    """Return documents of the words in recipes, with values of every kind."""
    recipes = [resolve(name, "digits") for name in recipe_names()]
    words = sorted({word for recipe in recipes for word in _words(recipe)})
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    numbers = st.integers() | st.floats() | st.sampled_from(["8/255", "1e400", "1/0", "nan"])
    scalars = st.none() | st.booleans() | numbers | text | st.sampled_from(words) | st.dates()
    keys = st.sampled_from(words) | text
    values = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )
    needed = {"title": text, "adversary": values, "objective": values}
    return st.builds(
        lambda base, more: {**base, **more},
        st.fixed_dictionaries({}, optional=needed),
        st.dictionaries(st.sampled_from(words), values, max_size=6),
    )


def _words(recipe: Any) -> set[str]:
    content, found = [recipe.model_dump()], set[str]()
    while content:
        for key, value in content.pop().items():
            found.add(str(key))
            content += [value] if isinstance(value, dict) else []
    return found


@lru_cache(maxsize=2)
def _recipes(key: str) -> list[Offer]:
    made: list[bytes] = []

    @hypothesis.seed(key)
    @hypothesis.settings(
        max_examples=150,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(_documents())
    def collect(document: dict[str, Any]) -> None:
        made.append(dump_yaml(document).encode())

    collect()
    return [("x.yaml", content) for content in [*_packaged(), *made]]


def _read_recipe(name: str, content: bytes, folder: Path) -> None:
    path = folder / name
    path.write_bytes(content)
    readers: list[Callable[[], Any]] = [
        lambda: read_yaml(path),
        lambda: load_profile(str(path)),
        lambda: read_recipe(path),
        lambda: resolve(str(path), "digits"),
    ]
    refusals = []
    for read in readers:
        try:
            recipe = read()
        except GratisError as error:
            refusals.append(error)
            continue
        if isinstance(recipe, Recipe):
            # An accepted recipe must be readable again from a run's folder.
            (folder / "again.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
            assert read_recipe(folder / "again.yaml") == recipe
    if len(refusals) == len(readers):
        raise refusals[-1]


# Perturbed sets


@cache
def _split() -> Split:
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    return Split(images, np.arange(6) % 2)


@cache
def _sets() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        model = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
        build(Path(name) / "sets", _split(), True, model, 0.1, 0)
        return {path.name: path.read_bytes() for path in (Path(name) / "sets").iterdir()}


def _read_sets(name: str, content: bytes, folder: Path) -> None:
    for other, valid in _sets().items():
        (folder / other).write_bytes(valid)
    (folder / name).write_bytes(content)
    if name.endswith(".npy"):
        # The manifest of a malicious folder has the right digests.
        manifest = json.loads(_sets()["manifest.json"])
        manifest["files"][Path(name).stem] = file_digest(folder / name)
        (folder / "manifest.json").write_text(json.dumps(manifest))
    sets = load(folder, _split())
    assert sets.geometric.shape == _split().images.shape


# Checkpoints

IDENTITY = {"seed": "0", "data": "toy"}


@cache
def _train_state() -> TrainState:
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return TrainState(
        fabric=Fabric(accelerator="cpu", devices=1),
        module=module,
        model=module,
        adversary=ADVERSARIES["free"].model_validate({}).build(0),
        objective=Objective({}),
        optimizer=optimizer,
        average=None,
        seed=0,
    )


@cache
def _checkpoint() -> tuple[bytes, checkpoint_file.Tensors, checkpoint_file.Metadata]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "checkpoint.safetensors"
        position = Position(finished=True, images=3)
        checkpoint.save(path, _train_state(), position, {"steps": torch.tensor(1)}, IDENTITY)
        return path.read_bytes(), *checkpoint_file.read(path)


def _checkpoints(_: str) -> list[Offer]:
    content, tensors, metadata = _checkpoint()
    parts = [(key, metadata[key].encode()) for key in ("position", "identity", "format")]
    names = [("tensors", json.dumps({name: name for name in tensors}).encode())]
    return [("checkpoint.safetensors", content), *parts, *names]


def _read_checkpoint(name: str, content: bytes, folder: Path) -> None:
    path = folder / "checkpoint.safetensors"
    if name == path.name:
        path.write_bytes(content)
    else:
        _write_valid(path, name, content.decode(errors="replace"))
    module = nn.Linear(3, 2)
    checkpoint.load_weights(path, module, IDENTITY)
    checkpoint.finished(path, IDENTITY)
    checkpoint.load(path, _train_state(), IDENTITY, 2)


def _write_valid(path: Path, name: str, text: str) -> None:
    """Write a checkpoint with the right checksum and the wrong content."""
    _, tensors, metadata = _checkpoint()
    if name == "tensors":
        try:
            names = json.loads(text)
            tensors = {new: tensors[old] for old, new in names.items() if isinstance(new, str)}
        except (ValueError, KeyError, AttributeError) as error:
            raise GratisError("no such tensors") from error
    checkpoint_file.write(path, tensors, metadata | ({} if name == "tensors" else {name: text}))


# Archives

FILES = {"top/a.txt": b"a" * 300, "top/deep/b.txt": b"b", "c.txt": b""}


@cache
def _archives() -> list[Offer]:
    made: list[Offer] = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w", method) as archive:
            for name, content in FILES.items():
                archive.writestr(zipfile.ZipInfo(name), content, method)
        made.append(("a.zip", zipped.getvalue()))
    for mode, form in (("w", tarfile.PAX_FORMAT), ("w", tarfile.GNU_FORMAT), ("w:gz", 1)):
        tarred = io.BytesIO()
        with tarfile.open(fileobj=tarred, mode=mode, format=form) as tar:  # type: ignore[call-overload]
            for name, content in FILES.items():
                member = tarfile.TarInfo(f"{name}{'x' * 120 if mode == 'w' else ''}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        made.append(("a.tar", tarred.getvalue()))
    return made


def _read_archive(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)
    try:
        with atomic_folder(folder / "into") as into:
            extract(folder / name, into, "top", limit=10_000_000)
    finally:
        assert {path.name for path in folder.iterdir()} <= {name, "into"}
        assert not any(path.is_symlink() for path in folder.rglob("*"))
        assert (folder / name).read_bytes() == content


# Images

_KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


@cache
def _images() -> list[Offer]:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    made: list[Offer] = []
    for kind in _KINDS:
        for mode in ("RGB", "L"):
            file = io.BytesIO()
            Image.fromarray(pixels).convert(mode).save(file, kind)
            made.append(("x.png", file.getvalue()))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", exif=exif)
    return [*made, ("x.png", file.getvalue())]


def _read_image(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)
    pixels = read_image(folder / name, 8)
    assert pixels.shape == (8, 8, 3) and pixels.dtype == np.uint8


TARGETS = {
    "recipe": Target(_recipes, _read_recipe),
    "manifest": Target(lambda _: list(_sets().items()), _read_sets),
    "checkpoint": Target(_checkpoints, _read_checkpoint),
    "archive": Target(lambda _: _archives(), _read_archive),
    "image": Target(lambda _: _images(), _read_image),
}
