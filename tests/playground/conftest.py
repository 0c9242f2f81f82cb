from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import digits_models
from gratis.data import Preparation
from gratis.playground.models import PlaygroundModel

NAMES = tuple(map(str, range(10)))


@pytest.fixture(scope="session")
def pair():
    """Two networks for digits; the second was hardened."""
    modules = {"natural": digits_models.natural(), "robust": digits_models.robust()}
    return [
        PlaygroundModel(name, module.eval().requires_grad_(False), Preparation(8), NAMES)
        for name, module in modules.items()
    ]


@pytest.fixture(scope="session")
def digit(tmp_path_factory):
    """A file with a digit that both networks classify correctly, and its class."""
    split = digits_models.digits().validation
    images = torch.from_numpy(np.array(split.images)).permute(0, 3, 1, 2) / 255
    models = (digits_models.natural(), digits_models.robust())
    with torch.no_grad():
        right = [m.eval()(images).argmax(1).numpy() == split.labels for m in models]
    number = int(np.flatnonzero(right[0] & right[1])[0])
    file = tmp_path_factory.mktemp("digit") / "digit.png"
    Image.fromarray(split.images[number]).save(file)
    return SimpleNamespace(file=file, label=int(split.labels[number]))
