"""``data_root`` and ``skip_broken`` of train and evaluate, as on the command line."""

import shutil

import pytest
import torch
from PIL import Image
from torch import nn

import gratis
from gratis.errors import GratisError

SMALL = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.size=8", "train.epochs=1"),
    *("evaluate.pgd_steps=2", "evaluate.images=8"),
]


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """A folder of two classes with one file that is no image."""
    folder = tmp_path_factory.mktemp("named") / "pets"
    for split in ("train", "val"):
        for name, colour in (("cat", "red"), ("dog", "blue")):
            (folder / split / name).mkdir(parents=True)
            for number in range(12):
                Image.new("RGB", (8, 8), colour).save(folder / split / name / f"{number}.png")
    (folder / "train" / "cat" / "broken.png").write_bytes(b"no image")
    return folder


def test_train_skips_broken_images_and_evaluate_finds_moved_data(pets, tmp_path):
    options = {"profile": "digits", "overrides": SMALL, "out": tmp_path / "run"}
    with pytest.raises(GratisError, match=r"broken\.png"):
        gratis.train("resnet18", data=f"folder:{pets}", **options)
    run = gratis.train("resnet18", data="folder", data_root=pets, skip_broken=True, **options)
    assert run.recipe().data.skip_broken and run.recipe().data.root == pets
    moved = tmp_path / "moved"
    shutil.copytree(pets, moved)
    results = gratis.evaluate(run, data_root=moved, epsilon="1/255")
    assert results.n == 8
    with pytest.raises(GratisError, match="its own seed, labels and skip_broken"):
        gratis.evaluate(run, skip_broken=True)


def test_evaluate_takes_both_for_named_data_only(pets):
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    # Some random weights tell apart images of one colour only if these are normalised.
    nn.init.zeros_(model[1].weight)
    few = {"epsilon": "1/255", "pgd_steps": 2, "images": 8}
    with pytest.raises(GratisError, match=r"broken\.png"):
        gratis.evaluate(model, "folder", data_root=pets, **few)
    assert gratis.evaluate(model, "folder", data_root=pets, skip_broken=True, **few).n == 8
    with pytest.raises(GratisError, match="apply to named data only"):
        gratis.evaluate(
            model, torch.rand(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64), skip_broken=True
        )
