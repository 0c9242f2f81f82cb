import pytest
import torch

import digits_models
import gratis
from gratis.data import to_float

TINY = ["model.channels=[8,8,8,8]", "model.head.width=16", "train.epochs=1", "evaluate.images=40"]


@pytest.fixture(scope="session")
def images():
    return to_float(digits_models.digits().validation.images, "cpu")


@pytest.fixture(scope="session")
def labels():
    return torch.tensor(digits_models.digits().validation.labels)


@pytest.fixture(scope="session")
def tiny():
    """Overrides for a network that is trained in seconds."""
    return TINY


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was trained for a moment; look, and leave it as it is."""
    folder = tmp_path_factory.mktemp("api") / "run"
    overrides = [*TINY, "evaluate.pgd_steps=2"]
    return gratis.train("resnet18", data="digits", out=folder, overrides=overrides)
