import logging

import numpy as np
import pytest
import torch
from torch import nn

from gratis.data.dataset import Split
from gratis.validation_sets import build, load

N, CLASSES = 24, 5
EPSILON = 8 / 255


@pytest.fixture
def split():
    """Images that ``net`` mostly classifies correctly, and that attacks can change."""
    source = np.random.default_rng(1)
    images = source.integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)
    labels = network()(pixels(images).double()).argmax(1).numpy()
    labels[::8] = (labels[::8] + 1) % CLASSES
    return Split(images, labels)


def pixels(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 255


def network():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GELU(), nn.Flatten(), nn.Linear(288, CLASSES)
    ).double()


class Sizes(logging.Handler):
    """The sizes of all batches of a network and its copies.

    They belong to a logger, and not to the network: another state of a network has another cache.
    """

    def __init__(self):
        super().__init__()
        self.sizes = []


logging.getLogger("batch sizes").handlers[:] = [Sizes()]


class Doubled(nn.Module):
    """A network in double precision, whose outcomes do not depend on the batch."""

    def __init__(self):
        super().__init__()
        self.inner = network()

    @property
    def seen(self):
        return logging.getLogger("batch sizes").handlers[0].sizes

    def forward(self, images):
        self.seen.append(len(images))
        return self.inner(images.double())


@pytest.fixture
def net():
    model = Doubled()
    model.seen.clear()
    return model


@pytest.fixture
def sets(tmp_path, split, net):
    build(tmp_path / "sets", split, True, net, EPSILON, seed=0)
    net.seen.clear()
    return load(tmp_path / "sets", split)
