import pytest
import torch
from torch import nn

from gratis.augmentation import Augment, AugmentSettings
from gratis.data import Batch
from gratis.seeds import generator

SPLIT = 16


@pytest.fixture
def model():
    """A small network in training mode that returns logits alone."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.GELU(),
        nn.Conv2d(6, 6, 3, stride=2),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(54, 4),
    )


@pytest.fixture
def batch_of():
    """Make a batch: ``batch_of(n, views=1, number=0)``, with many pixels at exactly 0 and 1.

    Its n images are some of a split of ``SPLIT``; its affine maps are those of random views.
    """

    def make(n, views=1, number=0, dtype=torch.float32):
        source = generator("cpu", "batch", number)
        images = (1.6 * torch.rand((views * n, 3, 8, 8), generator=source) - 0.3).clamp(0, 1)
        images = images.to(dtype).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(4, (n,), generator=source)
        indices = torch.randperm(SPLIT, generator=source)[:n]
        affines = Augment(AugmentSettings())(images[:n], source, views)[1]
        return Batch(images[:n], labels, indices, images, affines, split_size=SPLIT)

    return make
