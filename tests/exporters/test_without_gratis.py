"""An image goes in and a class comes out: with gratis, and with every export without it."""

import json
import subprocess
import sys

import pytest

import gratis

# What a user of the exported files writes. gratis cannot be imported.
ALONE = """
import json, sys
sys.modules["gratis"] = None
sys.path.insert(0, ".")
import numpy as np, onnxruntime, timm, torch
from PIL import Image

def read(path, size):
    image = Image.open(path).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return np.asarray(image).transpose(2, 0, 1).astype(np.float32) / 255

def shrunk(images):
    how = {"mode": "bilinear", "antialias": True}
    return torch.nn.functional.interpolate(images, sides, **how)

session = onnxruntime.InferenceSession("photos.onnx", providers=["CPUExecutionProvider"])
facts = session.get_modelmeta().custom_metadata_map
size, classes = json.loads(facts["gratis.image_size"]), json.loads(facts["gratis.classes"])
images = np.stack([read(line.strip(), size) for line in sys.stdin])
batches = [images[:1], images[1:8], images[8:]]

network = timm.create_model("local-dir:photos", pretrained=True).eval()
config = network.pretrained_cfg
assert list(config["label_names"]) == classes
sides = tuple(config["input_size"][1:])
assert sides < (size, size)
mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
graph = torch.export.load("photos.pt2").module()
from load_photos import CLASSES, load
model = load()
assert CLASSES == classes

ways = {
    "onnx": lambda x: torch.tensor(session.run(["logits"], {"images": x})[0]),
    "timm": lambda x: network((shrunk(torch.tensor(x)) - mean) / std),
    "torch-export": lambda x: graph(torch.tensor(x)),
    "state-dict": lambda x: model(torch.tensor(x)),
}
found = {}
with torch.no_grad():
    for name, classify in ways.items():
        logits = torch.cat([classify(batch) for batch in batches])
        found[name] = [classes[place] for place in logits.argmax(1)]
assert not any(name.startswith("gratis.") for name in sys.modules)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def exported(photo_run, tmp_path_factory):
    """A folder with an export of every kind."""
    folder = tmp_path_factory.mktemp("exported")
    for name, kind in (
        *(("photos.onnx", None), ("photos.pt2", None), ("photos.safetensors", None)),
        ("photos", "timm"),
    ):
        assert gratis.export(photo_run, folder / name, to=kind) == folder / name
    return folder


def test_every_way_names_the_same_class(within, photo_run, exported, tiny_imagenet):
    root = tiny_imagenet / "tiny-imagenet-200"
    wnids = (root / "wnids.txt").read_text().split()[:8]
    lines = (root / "val" / "val_annotations.txt").read_text().splitlines()
    pairs = [line.split("\t")[:2] for line in lines]
    files = [root / "val" / "images" / name for name, wnid in pairs if wnid in wnids]
    assert len(files) == 400
    in_python = [found.name for found in gratis.predict(photo_run, files)]
    assert len(set(in_python)) == 4
    code, streams = within("predict", photo_run.path, *files, "--json", "--quiet")
    assert code == 0
    assert [found["class"] for found in json.loads(streams.out)] == in_python
    for model in (exported / "photos.onnx", f"local-dir:{exported / 'photos'}"):
        assert [found.name for found in gratis.predict(model, files)] == in_python
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ALONE],
        input="\n".join(map(str, files)),
        cwd=exported,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == dict.fromkeys(("onnx", "timm", "torch-export", "state-dict"), in_python)


def test_nothing_else_is_left_beside_the_files(exported):
    expected = ["load_photos.py", "photos", "photos.onnx", "photos.pt2", "photos.safetensors"]
    assert (
        sorted(path.name for path in exported.iterdir() if path.name != "__pycache__") == expected
    )
    assert sorted(path.name for path in (exported / "photos").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_measured_accuracies_are_in_the_metadata(photo_run, exported):
    import onnxruntime
    from safetensors import safe_open

    session = onnxruntime.InferenceSession(
        exported / "photos.onnx", providers=["CPUExecutionProvider"]
    )
    with safe_open(exported / "photos.safetensors", framework="pt") as weights:
        every = [session.get_modelmeta().custom_metadata_map, weights.metadata()]
    every.append(json.loads((exported / "photos" / "config.json").read_text())["gratis"])
    for facts in every:
        measured = json.loads(facts["gratis.measured"])
        results = photo_run.results()
        assert measured["clean"] == results.clean and measured["pgd"] == results.pgd
        assert measured["epsilon"] == results.epsilon and measured["n"] == results.n
