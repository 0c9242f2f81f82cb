import copy

import pytest
import torch
from torch import nn

from gratis.model import Classifier, ModelSettings
from gratis.model.stem import Stem, quicken_stem


def pair(channels=3):
    """Return a module with a ResNet's stem, and its copy with the quick one."""
    torch.manual_seed(0)
    plain = nn.Module()
    plain.conv1 = nn.Conv2d(channels, 5, 7, stride=2, padding=3, bias=False)
    plain.double()
    quick = copy.deepcopy(plain)
    quicken_stem(quick)
    return plain.conv1, quick.conv1


def gradients(convolution, images):
    leaf = images.clone().requires_grad_()
    output = convolution(leaf)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    return output, *torch.autograd.grad((output * weights).sum(), [leaf, convolution.weight])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(8, 8), (9, 12), (12, 9), (7, 7), (1, 1), (2, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_output_and_gradients_are_the_plain_convolutions(size, channels, layout):
    plain, quick = pair(channels)
    assert type(quick.to(memory_format=layout)) is Stem
    images = torch.rand(2, channels, *size, dtype=torch.double).contiguous(memory_format=layout)
    for found, wanted in zip(gradients(quick, images), gradients(plain, images), strict=True):
        torch.testing.assert_close(found, wanted)


def test_gradients_agree_with_finite_differences():
    _, quick = pair()
    images = torch.rand(1, 3, 5, 6, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(quick, (images,))


def test_frozen_weights_still_let_the_gradient_through():
    plain, quick = pair()
    images = torch.rand(2, 3, 8, 8, dtype=torch.double)
    wanted = gradients(plain, images)[1]
    quick.requires_grad_(False)
    leaf = images.requires_grad_()
    output = quick(leaf)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    (output * weights).sum().backward()
    torch.testing.assert_close(leaf.grad, wanted)
    assert quick.weight.grad is None


def test_it_neither_draws_random_numbers_nor_renames_weights():
    plain, _ = pair()
    state = torch.get_rng_state()
    module = nn.Module()
    module.conv1 = plain
    quicken_stem(module)
    assert torch.equal(torch.get_rng_state(), state)
    assert module.conv1.weight is plain.weight
    assert list(module.state_dict()) == ["conv1.weight"]


@pytest.mark.parametrize(
    "stem",
    [
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.Conv2d(3, 4, 7, stride=2, padding=3),
        nn.Conv2d(4, 4, 7, stride=2, padding=3, bias=False, groups=2),
        nn.Conv2d(3, 4, 7, stride=2, padding=3, bias=False, dilation=2),
        nn.Identity(),
    ],
)
def test_other_stems_stay_as_they_are(stem):
    module = nn.Module()
    module.conv1 = stem
    quicken_stem(module)
    assert module.conv1 is stem


@pytest.mark.parametrize(("denoiser", "kind"), [({"width": 2}, Stem), (None, nn.Conv2d)])
def test_only_classifiers_behind_a_denoiser_have_one(denoiser, kind):
    model = Classifier(ModelSettings(channels=(4, 4, 8, 8), denoiser=denoiser), classes=3)
    assert type(model.backbone.conv1) is kind


def test_autocast_keeps_the_plain_convolution():
    plain, quick = (convolution.float() for convolution in pair())
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, wanted = quick(images), plain(images)
    assert found.dtype == torch.bfloat16 and torch.equal(found, wanted)
