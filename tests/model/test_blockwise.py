"""Blockwise is the convolution, forwards and backwards; autograd's gradient is the oracle."""

import pytest
import torch
from torch import nn

from gratis.model.blockwise import Blockwise, suits

CONVOLUTIONS = [
    dict(kernel_size=7, stride=2, padding=3),
    dict(kernel_size=3, stride=1, padding=1),
    dict(kernel_size=3, stride=2, padding=1),
    dict(kernel_size=3, stride=2, padding=0),
    dict(kernel_size=5, stride=3, padding=2),
    dict(kernel_size=5, stride=1, padding=0),
    dict(kernel_size=4, stride=2, padding=3, bias=False),
    dict(kernel_size=2, stride=1, padding=2),
]


def gradient(layer, images, weights):
    leaf = images.clone().requires_grad_()
    made = layer(leaf)
    return made.detach(), torch.autograd.grad((made * weights).sum(), leaf)[0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (11, 14)], ids=str)
@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last], ids=str)
def test_it_has_the_convolutions_output_and_gradient(channels, size, options, memory):
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, 6, **options).double().requires_grad_(False)
    assert suits(layer)
    images = torch.rand(2, channels, *size, dtype=torch.float64).to(memory_format=memory)
    weights = torch.randn_like(layer(images))
    found = gradient(Blockwise(layer).to(memory_format=memory), images, weights)
    for mine, wanted in zip(found, gradient(layer, images, weights), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(16, 4, 3),
        nn.Conv2d(2, 4, 3, groups=2),
        nn.Conv2d(3, 4, 3, dilation=2),
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 4, (3, 1)),
        nn.Conv2d(3, 4, 3, stride=(1, 2)),
        nn.Conv2d(3, 4, 4, stride=4),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)),
        nn.Linear(3, 4),
    ],
    ids=str,
)
def test_what_it_cannot_stand_for_does_not_suit(layer):
    assert not suits(layer)
