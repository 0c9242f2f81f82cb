"""A folder with what the commands of the documentation name: images, weights, runs, recipes."""

import shutil

import documented_pages as pages
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

import gratis

# A network so small that a command takes about a second.
SMALL = ["model.channels=[8,8,8,8]", "model.head.width=16"]
NETWORK = """
from torch import nn

def network():
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 2))
"""
RECIPE = "title: {0}\nadversary: {0}\nobjective: cross_entropy\ntrain: {{epochs: 0.1}}\n"


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    make_images(folder)
    torch.manual_seed(0)
    torch.save(timm.create_model(pages.NETWORK, num_classes=2).state_dict(), folder / "pets.pt")
    for recipe in ("natural", "free"):
        (folder / f"{recipe}.yaml").write_text(RECIPE.format(recipe))
    for recipe in ("resnet18", "free"):
        run = folder / "runs" / recipe
        gratis.train(recipe, data="digits", out=run, overrides=[*SMALL, *pages.TINY])
        shutil.copytree(run, folder / "out" / "digits" / "runs" / recipe)
    gratis.export(folder / "runs" / "free", folder / "digits.onnx")
    (folder / "mymodels.py").write_text(NETWORK)
    model = gratis.load(pages.NETWORK, weights=folder / "pets.pt", input_size=32)
    gratis.evaluate(
        model, f"folder:{folder / 'pets'}", out=folder / "evaluations" / "mine", suite="transfer"
    )
    return folder


def make_images(folder):
    """Write squares of two photographs as the images of two classes, and the list of them."""
    source = np.random.default_rng(0)
    lines = ["file,label,split"]
    for name, photograph in zip(("cat", "dog"), load_sample_images().images, strict=True):
        (folder / "pets" / name).mkdir(parents=True)
        for number in range(20):
            top, left = source.integers(0, 300, 2)
            path = folder / "pets" / name / f"{number}.png"
            Image.fromarray(photograph[top : top + 32, left : left + 32]).save(path)
            split = "val" if number % 4 == 0 else "train"
            lines.append(f"{path.relative_to(folder)},{name},{split}")
    (folder / "pets.csv").write_text("\n".join(lines))
    shutil.copytree(folder / "pets" / "cat", folder / "photos")
    Image.open(folder / "photos" / "0.png").save(folder / "cat.jpg")


@pytest.fixture
def here(world, tmp_path, monkeypatch):
    """The current folder, which is also the user's: a copy of the world."""
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GRATIS_CACHE", str(tmp_path / "cache"))
    return tmp_path
