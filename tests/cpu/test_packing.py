"""A packed convolution is its convolution; torch's own, forwards and backwards, is the oracle."""

import pytest
import torch
from torch import nn

from gratis.cpu.packing import Packed, packable
from gratis.cpu.stem import Stem, suits

CONVOLUTIONS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 1, "stride": 2, "bias": False},
    {"kernel_size": 1},
    {"kernel_size": 1, "stride": 2, "bias": False},
    {"kernel_size": (3, 2), "padding": (0, 1), "stride": (2, 1)},
    {"kernel_size": 7, "padding": 3, "stride": 2, "bias": False},
    {"kernel_size": 2, "padding": 3},
]
# Where torch has no oneDNN, nothing is packed.
pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN")

LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture(params=CONVOLUTIONS, ids=str)
def layer(request):
    torch.manual_seed(0)
    return nn.Conv2d(8, 5, **request.param).requires_grad_(False)


def both(layer, inputs):
    """Return a layer's output, and the gradient of its input."""
    leaf = inputs.clone(memory_format=torch.preserve_format).requires_grad_()
    output = layer(leaf)
    weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
    return output, *torch.autograd.grad((output * weights).sum(), leaf)


def assert_same(own, wanted, inputs):
    for found, expected in zip(both(own, inputs), both(wanted, inputs), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own(inputs), wanted(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_output_and_gradient_are_the_convolutions(layer, layout):
    inputs = torch.rand(4, 8, 11, 14).contiguous(memory_format=layout)
    assert packable(layer)
    assert_same(Packed(layer, inputs), layer, inputs)


@pytest.mark.parametrize("shape", [(1, 8, 11, 14), (9, 8, 11, 14), (3, 8, 12, 9)], ids=str)
def test_other_inputs_than_those_seen_will_do(layer, shape):
    packed = Packed(layer, torch.rand(4, 8, 11, 14))
    assert_same(packed, layer, torch.rand(shape).contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize("size", [(16, 16), (11, 14)], ids=str)
@pytest.mark.parametrize(
    "sides",
    [{"kernel_size": 7, "stride": 2, "padding": 3}, {"kernel_size": 3, "padding": 1}],
    ids=str,
)
def test_a_stem_keeps_its_quick_gradient(sides, size):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, **sides).requires_grad_(False)
    assert suits(layer)
    inputs = torch.rand(4, 3, *size).contiguous(memory_format=torch.channels_last)
    packed = Packed(Stem.of(layer), inputs)
    assert packed._blocks is not None
    assert_same(packed, layer, inputs)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 8, 3, dilation=2),
        nn.Conv2d(8, 8, 3, padding="same"),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, 8, 3).double(),
        nn.Conv2d(8, 8, 3, device="meta"),
        nn.ConvTranspose2d(8, 8, 3),
        nn.Linear(8, 8),
    ],
    ids=str,
)
def test_what_cannot_be_packed_is_said(layer):
    assert not packable(layer)


def hooked():
    layer = nn.Conv2d(8, 8, 3)
    layer.register_forward_pre_hook(lambda _, inputs: inputs[0].clamp(max=0.5))
    return layer


def overridden():
    layer = nn.Conv2d(8, 8, 3)
    layer.forward = lambda inputs: inputs
    return layer


@pytest.mark.parametrize("make", [hooked, overridden])
def test_what_somebody_has_changed_is_left_to_him(make):
    assert not packable(make())


def test_without_onednn_nothing_is_packed(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert not packable(nn.Conv2d(8, 8, 3))


def test_halves_are_computed_in_full(layer):
    inputs = torch.rand(4, 8, 11, 14)
    packed = Packed(layer, inputs)
    halves = inputs.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = both(packed, halves)
    for own, wanted in zip(found, both(layer, halves.float()), strict=True):
        torch.testing.assert_close(own.float(), wanted, rtol=1e-2, atol=1e-2)
    assert found[0].dtype == torch.float32
