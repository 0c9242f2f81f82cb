"""A quick stem computes what its convolution does; autograd's gradients are the reference."""

import copy

import pytest
import torch
from torch import nn

from gratis.cpu.quick_stem import QuickStem, is_replaceable, use_quick_stem
from gratis.model import Classifier, ModelSettings
from gratis.recipe import resolve
from gratis.run.build import build_model
from gratis.seeds import derive

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
    """Return a convolution, and a quick stem with a copy of its parameters."""
    torch.manual_seed(0)
    own = {"kernel_size": 7, "stride": 2, "padding": 3} | options
    layer = nn.Conv2d(channels, 5, **own).double()
    return layer, QuickStem.of(copy.deepcopy(layer))


def gradients(layer, images):
    """Return the output, and the gradients of the images and of the parameters."""
    inputs = images.clone().requires_grad_()
    output = layer(inputs)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    wanted = [inputs, *(p for p in layer.parameters() if p.requires_grad)]
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
    # The network before it may depend on the memory format.
    assert found[1].is_contiguous(memory_format=layout)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 1)], ids=str)
def test_images_may_be_smaller_than_the_kernel(size):
    plain, stem = pair()
    images = torch.rand(2, 3, *size, dtype=torch.double)
    for found, wanted in zip(gradients(stem, images), gradients(plain, images), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("options", [{}, {"kernel_size": 3, "stride": 1, "padding": 1}], ids=str)
def test_first_and_second_gradients_agree_with_finite_differences(options):
    _, stem = pair(**options)
    images = torch.rand(1, 3, 4, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(stem, (images,))
    assert torch.autograd.gradgradcheck(stem, (images,))


def test_it_works_with_torch_func():
    plain, stem = pair()
    images = torch.rand(3, 3, 8, 8, dtype=torch.double)

    def slope(layer):
        return torch.func.grad(lambda image: layer(image[None]).square().sum())

    wanted = torch.stack([slope(plain)(image) for image in images])
    torch.testing.assert_close(torch.func.vmap(slope(stem))(images), wanted)


def test_frozen_weights_pass_the_gradient_on():
    plain, stem = (layer.requires_grad_(False) for layer in pair())
    images = torch.rand(2, 3, 8, 8, dtype=torch.double)
    for found, wanted in zip(gradients(stem, images), gradients(plain, images), strict=True):
        torch.testing.assert_close(found, wanted)


def test_replacing_draws_no_random_numbers_and_keeps_parameters_and_names():
    plain, _ = pair()
    weight, bias, state = plain.weight, plain.bias, torch.get_rng_state()
    module = nn.Sequential(plain)
    assert use_quick_stem(module) and not use_quick_stem(module)
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
def test_other_layers_are_not_replaced(layer):
    module = nn.Sequential(layer)
    assert not is_replaceable(layer) and not use_quick_stem(module)
    assert module[0] is layer


@pytest.mark.parametrize("settings", [{}, {"stem": "small"}, {"backbone": "resnetv2_18"}], ids=str)
def test_a_classifier_is_plain_until_the_quick_stem_is_asked_for(settings):
    model = Classifier(ModelSettings(channels=(8, 8, 8, 8), **settings), classes=3)
    assert stems(model) == []
    assert use_quick_stem(model)
    (stem,) = stems(model)
    assert stem.in_channels == 3


def test_the_model_of_a_recipe_has_a_quick_stem_and_the_plain_models_weights():
    recipe = resolve("contrastive-autoencoder", "digits")
    model = build_model(recipe, [str(i) for i in range(10)])
    (stem,) = stems(model)
    assert stem.in_channels == 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(recipe.seed, "model"))
        plain = Classifier(recipe.model, 10)
    for (name, own), (other, wanted) in zip(
        model.state_dict().items(), plain.state_dict().items(), strict=True
    ):
        assert name == other and torch.equal(own, wanted)
    images = torch.rand(4, 3, 8, 8)
    found, expected = (gradients_of_images(each.eval(), images) for each in (model, plain))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def stems(model):
    return [part for part in model.modules() if isinstance(part, QuickStem)]


def gradients_of_images(model, images):
    inputs = images.clone().requires_grad_()
    return torch.autograd.grad(model(inputs).logits.logsumexp(1).sum(), inputs)[0]


def test_autocast_keeps_the_plain_convolution():
    plain, stem = (layer.float() for layer in pair())
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, wanted = stem(images), plain(images)
    assert found.dtype == torch.bfloat16 and torch.equal(found, wanted)
