"""A packed convolution computes what torch's convolution does, forward and backward."""

import pytest
import torch
from torch import nn

from gratis.cpu.folding import folded
from gratis.cpu.packing import PackedConv2d, is_packable
from gratis.cpu.quick_stem import QuickStem, is_replaceable

CONVOLUTIONS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 1, "stride": 2, "bias": False},
    {"kernel_size": 1},
    {"kernel_size": 1, "stride": 2, "bias": False},
    {"kernel_size": (3, 2), "padding": (0, 1), "stride": (2, 1)},
    {"kernel_size": 7, "padding": 3, "stride": 2, "bias": False},
    {"kernel_size": 2, "padding": 3},
]
# Without oneDNN nothing is packed.
pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN")

# The argument types of the operators that packing uses. They are private to torch.
OPERATORS = {
    "_reorder_convolution_weight": "Tensor, List[int], List[int], List[int], int, "
    "Optional[List[int]]",
    "_reorder_convolution_transpose_weight": "Tensor, List[int], List[int], List[int], List[int], "
    "int, Optional[List[int]]",
    "_convolution_pointwise": "Tensor, Tensor, Optional[Tensor], List[int], List[int], List[int], "
    "int, str, List[Optional[number]], Optional[str]",
    "_convolution_transpose_pointwise": "Tensor, Tensor, Optional[Tensor], List[int], List[int], "
    "List[int], List[int], int, str, List[Optional[number]], Optional[str]",
}


@pytest.mark.parametrize("name", OPERATORS)
def test_the_private_operators_of_torch_are_as_packing_expects_them(name):
    operator = getattr(torch.ops.mkldnn, name, None)
    found = operator and ", ".join(str(each.type) for each in operator.default._schema.arguments)
    if found != OPERATORS[name]:
        pytest.fail(
            f"torch {torch.__version__} has changed the private operator mkldnn::{name}: its "
            f"arguments were ({OPERATORS[name]}) and are ({found}). Adapt this list and "
            "src/gratis/cpu/packing.py, or let is_packable return False for this version of torch: "
            "evaluations are then slower on a CPU, and nothing else changes."
        )


def test_packing_is_in_use_where_onednn_is_available():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)).eval()
    copied = folded(model, torch.rand(4, 3, 8, 8))
    assert any(isinstance(part, PackedConv2d) for part in copied.modules()), (
        f"folded() no longer packs convolutions with torch {torch.__version__}: it fell back to "
        "unpacked ones, or to the model itself, because an operator failed or gave other values. "
        "Run the other tests of this file, and adapt src/gratis/cpu/packing.py."
    )


LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture(params=CONVOLUTIONS, ids=str)
def layer(request):
    torch.manual_seed(0)
    return nn.Conv2d(8, 5, **request.param).requires_grad_(False)


def both(layer, inputs):
    """Return a layer's output, and the gradient of its input."""
    tracked = inputs.clone(memory_format=torch.preserve_format).requires_grad_()
    output = layer(tracked)
    weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
    return output, *torch.autograd.grad((output * weights).sum(), tracked)


def assert_same(own, wanted, inputs):
    for found, expected in zip(both(own, inputs), both(wanted, inputs), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own(inputs), wanted(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_output_and_gradient_are_the_convolutions(layer, layout):
    inputs = torch.rand(4, 8, 11, 14).contiguous(memory_format=layout)
    assert is_packable(layer)
    assert_same(PackedConv2d(layer, inputs), layer, inputs)


@pytest.mark.parametrize("shape", [(1, 8, 11, 14), (9, 8, 11, 14), (3, 8, 12, 9)], ids=str)
def test_inputs_of_other_shapes_give_the_right_output(layer, shape):
    packed = PackedConv2d(layer, torch.rand(4, 8, 11, 14))
    assert_same(packed, layer, torch.rand(shape).contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize("size", [(16, 16), (11, 14)], ids=str)
@pytest.mark.parametrize(
    "sides",
    [{"kernel_size": 7, "stride": 2, "padding": 3}, {"kernel_size": 3, "padding": 1}],
    ids=str,
)
def test_a_packed_quick_stem_keeps_its_quick_gradient(sides, size):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, **sides).requires_grad_(False)
    assert is_replaceable(layer)
    inputs = torch.rand(4, 3, *size).contiguous(memory_format=torch.channels_last)
    packed = PackedConv2d(QuickStem.of(layer), inputs)
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
def test_other_layers_are_not_packable(layer):
    assert not is_packable(layer)


def hooked():
    layer = nn.Conv2d(8, 8, 3)
    layer.register_forward_pre_hook(lambda _, inputs: inputs[0].clamp(max=0.5))
    return layer


def overridden():
    layer = nn.Conv2d(8, 8, 3)
    layer.forward = lambda inputs: inputs
    return layer


@pytest.mark.parametrize("make", [hooked, overridden])
def test_layers_with_hooks_or_their_own_forward_are_not_packable(make):
    assert not is_packable(make())


def test_without_onednn_nothing_is_packed(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert not is_packable(nn.Conv2d(8, 8, 3))


def test_half_precision_inputs_are_computed_in_float32(layer):
    inputs = torch.rand(4, 8, 11, 14)
    packed = PackedConv2d(layer, inputs)
    halves = inputs.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = both(packed, halves)
    for own, wanted in zip(found, both(layer, halves.float()), strict=True):
        torch.testing.assert_close(own.float(), wanted, rtol=1e-2, atol=1e-2)
    assert found[0].dtype == torch.float32
