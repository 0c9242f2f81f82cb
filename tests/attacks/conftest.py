import pytest
import torch
from torch import nn
from torch.nn import functional

from gratis.seeds import generator


def toy_data(n=48, size=8, classes=4):
    """Images whose class is a faint pattern under noise, away from 0 and 1 only on average."""
    source = generator("cpu", "toy")
    labels = torch.arange(n) % classes
    patterns = torch.rand((classes, 3, size, size), generator=source)
    noise = torch.rand((n, 3, size, size), generator=source)
    return (0.3 * patterns[labels] + 0.8 * noise - 0.05).clamp(0, 1), labels


@pytest.fixture(scope="session")
def toy():
    """A small network in evaluation mode, its images and its labels."""
    images, labels = toy_data()
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.GELU(),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(72, 4),
    )
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(30):
        loss = functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval(), images, labels
