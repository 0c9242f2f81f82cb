"""What a folder in timm's format says of its classes and images reaches a prediction."""

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import gratis
from gratis.model import from_timm
from gratis.model.stored_facts import StoredFacts

FOLDER = {
    "architecture": "test_resnet",
    "num_classes": 2,
    "label_names": ["cat", "dog"],
    "pretrained_cfg": {"input_size": [3, 40, 40], "crop_mode": "squash", "num_classes": 2},
}


@pytest.fixture
def folder(tmp_path):
    """Write a folder in timm's format, and return its name as a model."""

    def write(**changes):
        content = FOLDER | changes
        network = timm.create_model("test_resnet", num_classes=content["num_classes"])
        torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
        (tmp_path / "config.json").write_text(json.dumps(content))
        return f"local-dir:{tmp_path}"

    return write


def test_a_folder_of_timms_names_classes_size_and_resizing(folder, tmp_path):
    Image.fromarray(np.zeros((50, 90, 3), np.uint8)).save(tmp_path / "image.png")
    name = folder()
    model = gratis.load(name)
    assert (model.classes, model.image_size, model.resize) == (("cat", "dog"), 40, "squash")
    (found,) = gratis.predict(name, tmp_path / "image.png")
    assert found.name in ("cat", "dog")


@pytest.mark.parametrize("names", [None, "imagenet-1k", ["cat"], [1, 2]])
def test_names_that_do_not_fit_are_left_out(folder, names):
    model = from_timm(folder(label_names=names), None)
    assert not hasattr(model, "classes") and model.image_size == 40


def test_what_gratis_stored_comes_first(folder):
    facts = StoredFacts(classes=("a", "b"), image_size=64, resize="pad", white_level=4095)
    model = from_timm(folder(gratis=facts.to_text()), None)
    assert StoredFacts(**{key: getattr(model, key) for key in StoredFacts.model_fields}) == facts
    # Its images are 64 px, and its network sees 40.
    assert model.input_size == 40


def test_of_a_name_nothing_is_known(tmp_path):
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "w.pt")
    model = from_timm("test_resnet", tmp_path / "w.pt")
    assert not any(hasattr(model, key) for key in StoredFacts.model_fields)
