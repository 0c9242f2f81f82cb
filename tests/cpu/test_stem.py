"""A stem is its convolution, forwards and backwards; autograd's own gradients are the oracle."""

import copy

import pytest
import torch
from torch import nn

from gratis.cpu.stem import Stem, quicken, suits
from gratis.model import Classifier, ModelSettings

CONVOLUTIONS = [
    {"kernel_size": 7, "stride": 2, "padding": 3, "bias": False},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 0},
    {"kernel_size": 5, "stride": 3, "padding": 2},
    {"kernel_size": 5, "stride": 1, "padding": 0},
    {"kernel_size": 4, "stride": 2, "padding": 3, "bias": False},
    {"kernel_size": 2, "stride": 1, "padding": 2},
]


def pair(channels=3, **options):
    """Return a convolution, and a stem with parameters of its own that are the same."""
    torch.manual_seed(0)
    own = {"kernel_size": 7, "stride": 2, "padding": 3} | options
    layer = nn.Conv2d(channels, 5, **own).double()
    return layer, Stem.of(copy.deepcopy(layer))


def gradients(layer, images):
    """Return the output, and the gradients of the images and of the parameters."""
    leaf = images.clone().requires_grad_()
    output = layer(leaf)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    wanted = [leaf, *(p for p in layer.parameters() if p.requires_grad)]
    return [output, *torch.autograd.grad((output * weights).sum(), wanted)]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("size", [(16, 16), (11, 14), (9, 12), (7, 7)], ids=str)
@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_output_and_gradients_are_the_convolutions(channels, options, size, layout):
    plain, stem = pair(channels, **options)
    stem.to(memory_format=layout)
    images = torch.rand(2, channels, *size, dtype=torch.double).contiguous(memory_format=layout)
    found = gradients(stem, images)
    for own, wanted in zip(found, gradients(plain, images), strict=True):
        torch.testing.assert_close(own, wanted)
    # Others reshape what they get.
    assert found[1].is_contiguous(memory_format=layout)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 1)], ids=str)
def test_images_smaller_than_the_kernel_do_too(size):
    plain, stem = pair()
    images = torch.rand(2, 3, *size, dtype=torch.double)
    for found, wanted in zip(gradients(stem, images), gradients(plain, images), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("options", [{}, {"kernel_size": 3, "stride": 1, "padding": 1}], ids=str)
def test_gradients_agree_with_finite_differences_and_so_do_theirs(options):
    _, stem = pair(**options)
    images = torch.rand(1, 3, 4, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(stem, (images,))
    assert torch.autograd.gradgradcheck(stem, (images,))


def test_functions_of_functions_see_through_it():
    plain, stem = pair()
    images = torch.rand(3, 3, 8, 8, dtype=torch.double)

    def slope(layer):
        return torch.func.grad(lambda image: layer(image[None]).square().sum())

    wanted = torch.stack([slope(plain)(image) for image in images])
    torch.testing.assert_close(torch.func.vmap(slope(stem))(images), wanted)


def test_frozen_weights_still_let_the_gradient_through():
    plain, stem = (layer.requires_grad_(False) for layer in pair())
    images = torch.rand(2, 3, 8, 8, dtype=torch.double)
    for found, wanted in zip(gradients(stem, images), gradients(plain, images), strict=True):
        torch.testing.assert_close(found, wanted)


def test_it_neither_draws_random_numbers_nor_renames_parameters():
    plain, _ = pair()
    weight, bias, state = plain.weight, plain.bias, torch.get_rng_state()
    module = nn.Sequential(plain)
    assert quicken(module) and not quicken(module)
    assert torch.equal(torch.get_rng_state(), state)
    assert module[0].weight is weight and module[0].bias is bias
    assert list(module.state_dict()) == ["0.weight", "0.bias"]
    images = torch.rand(1, 3, 8, 8, dtype=torch.double)
    assert torch.equal(module(images), plain(images))


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
def test_what_a_stem_cannot_stand_for_stays(layer):
    module = nn.Sequential(layer)
    assert not suits(layer) and not quicken(module)
    assert module[0] is layer


@pytest.mark.parametrize("settings", [{}, {"stem": "small"}, {"backbone": "resnetv2_18"}], ids=str)
def test_every_classifier_has_one_at_its_images(settings):
    model = Classifier(ModelSettings(channels=(8, 8, 8, 8), **settings), classes=3)
    (stem,) = (part for part in model.modules() if isinstance(part, Stem))
    assert stem.in_channels == 3


def test_autocast_keeps_the_plain_convolution():
    plain, stem = (layer.float() for layer in pair())
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, wanted = stem(images), plain(images)
    assert found.dtype == torch.bfloat16 and torch.equal(found, wanted)
