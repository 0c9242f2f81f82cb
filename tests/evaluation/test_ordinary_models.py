"""Ordinary models that need an image batch of their own are measured; others say what to change."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

import digits_models
import gratis
from gratis.data import to_float
from gratis.errors import GratisError
from gratis.evaluation.contiguous import ContiguousInputs, with_contiguous_inputs
from gratis.evaluation.model_validation import refuse_lazy, validate_model

QUICK = {"images": 60, "epsilon": digits_models.EPSILON, "pgd_steps": 2}


class Changed(nn.Module):
    """A network with a function in place of its forward pass."""

    def __init__(self, net, forward):
        super().__init__()
        self.net, self.how = net, forward

    def forward(self, images):
        return self.how(self.net, images)


def viewed(net, images):
    hidden = net[:4](images)
    return net[5](hidden.view(hidden.size(0), -1))


def in_place(net, images):
    images.sub_(0.5).div_(0.5)
    return net(images * 0.5 + 0.5)


def clipped(net, images):
    return net(functional.hardtanh_(images, -1, 2))


def few():
    return to_float(digits_models.digits().validation.images[:2], "cpu")


@pytest.mark.parametrize("forward", [viewed, in_place, clipped])
def test_a_model_that_needs_images_of_its_own_is_measured_like_any_other(forward):
    plain, changed = digits_models.natural(), Changed(digits_models.natural(), forward)
    assert with_contiguous_inputs(plain, few(), "plain") is plain
    assert isinstance(with_contiguous_inputs(changed, few(), "changed"), ContiguousInputs)
    found = gratis.evaluate(changed, "digits", **QUICK)
    expected = gratis.evaluate(plain, "digits", **QUICK)
    assert found.clean == expected.clean > 0.9
    # In another memory format convolutions round otherwise.
    assert found.pgd == pytest.approx(expected.pgd, abs=0.05)
    assert found.backbone == "Changed"


def test_a_model_that_fails_anyway_is_left_as_it_is():
    model = Changed(None, lambda _, images: images.nonsense())
    assert with_contiguous_inputs(model, few(), "model") is model


def exported(net):
    dimension = {0: torch.export.Dim("b")}
    images = (torch.rand(2, 3, 8, 8),)
    return torch.export.export(net, images, dynamic_shapes=(dimension,)).module()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_program_of_torch_export_is_measured():
    net = digits_models.natural()
    found = gratis.evaluate(exported(net), "digits", **QUICK)
    assert found.clean == gratis.evaluate(net, "digits", **QUICK).clean


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "make", [torch.jit.script, lambda net: torch.jit.freeze(torch.jit.script(net))]
)
def test_a_program_of_torchscript_is_measured(make):
    net = digits_models.natural()
    found = gratis.evaluate(make(net), "digits", **QUICK)
    assert found.clean == gratis.evaluate(net, "digits", **QUICK).clean


@pytest.mark.parametrize("model", [lambda images: images, digits_models.network, {}, None])
def test_what_is_no_module_is_told_to_become_one(model):
    with pytest.raises(
        GratisError, match=r"needs a path, a name or a torch\.nn\.Module, .*; wrap a function in a"
    ):
        gratis.evaluate(model, "digits", **QUICK)


def grey():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 10))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda net: copy.deepcopy(net).half(), r"weights are float16: pass model\.float\(\)$"),
        (lambda net: copy.deepcopy(net).bfloat16(), r"are bfloat16: pass model\.float\(\)$"),
        (lambda net: copy.deepcopy(net).double(), r"are float64: pass model\.float\(\)$"),
        (lambda _: grey(), "takes 1 channels: take 3, and convert the images inside the model$"),
        (
            lambda net: Changed(net, lambda n, x: n(x).unsqueeze(2).squeeze()),
            "returns 10 numbers for one image, where 1x10 are right; keep the dimension",
        ),
        (
            lambda net: Changed(net, lambda n, x: n(x.view(250, 3, 8, 8))),
            r"resize inside the model, or use input_size",
        ),
    ],
)
def test_a_refusal_says_what_to_change(make, message):
    with pytest.raises(GratisError, match=message):
        gratis.evaluate(make(digits_models.natural()), "digits", **QUICK)


def test_lazy_layers_are_refused_and_initialised_ones_are_not():
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
    with pytest.raises(GratisError, match=r"not initialised \(1\.weight\); run it on a batch"):
        gratis.evaluate(lazy, "digits", **QUICK)
    lazy(few())
    refuse_lazy(lazy, "lazy")


def test_a_model_for_larger_images_is_told_their_size_and_not_their_scale():
    net = digits_models.natural()

    def at_16(_, images):
        # Blank but for images of its own size: at chance on all others.
        if images.shape[-1] != 16:
            return net(images) * 0 + torch.randn(10, generator=torch.Generator().manual_seed(0))
        return net(functional.avg_pool2d(images, 2))

    model = Changed(net, at_16)
    with pytest.raises(GratisError) as caught:
        validate_model(model, digits_models.digits(), "model", True, 250)
    message = str(caught.value)
    assert message.startswith("model: expects images of 16x16 px: its accuracy on 64 images is ")
    assert "resized from 8x8; resize inside the model, or use --input-size 16" in message


def test_a_model_without_values_is_refused():
    with pytest.raises(GratisError, match=r"has no values in 0\.weight \(device meta\); load its"):
        refuse_lazy(digits_models.network().to("meta"), "model")


def test_a_program_for_one_batch_size_is_told_so():
    images = torch.rand(2, 3, 8, 8)
    program = torch.export.export(digits_models.natural(), (images,)).module()
    with pytest.raises(GratisError, match=r"for one batch size: export it with torch\.export\.Dim"):
        validate_model(program, digits_models.digits(), "model", False, 250)
