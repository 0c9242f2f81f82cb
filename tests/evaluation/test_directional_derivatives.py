"""Gradients that are not those of the loss are found, and sound models pass."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

import digits_models
from gratis.attacks import frozen, is_correct
from gratis.evaluation.directional_derivatives import agreement, along_gradient, loss_changes
from gratis.evaluation.evaluated_model import EvaluatedModel


class Replaced(torch.autograd.Function):
    """The identity with another gradient."""

    @staticmethod
    def forward(context, images, change):
        context.change = change
        return images.clone()

    @staticmethod
    def backward(context, gradient):
        return context.change(gradient), None


class Around(nn.Module):
    """A network with a function before it and one after it."""

    def __init__(self, net, before=lambda images: images, after=lambda logits: logits):
        super().__init__()
        self.net, self.before, self.after = net, before, after

    def forward(self, images):
        return self.after(self.net(self.before(images)))


class Other(nn.Module):
    """Another network answers when a gradient is asked for."""

    def __init__(self, net):
        super().__init__()
        self.net, self.other = net, digits_models.overfitted()

    def forward(self, images):
        return (self.other if images.requires_grad else self.net)(images)


def lie(change):
    return lambda net: Around(net, before=lambda images: Replaced.apply(images, change))


def half(gradient):
    return gradient * (torch.arange(8) % 2)


def random_signs(gradient):
    signs = (torch.randint(2, gradient.shape) * 2 - 1).to(gradient)
    return torch.where(torch.rand_like(gradient) < 0.3, signs * gradient, gradient)


def blurred(gradient):
    return nn.functional.avg_pool2d(gradient, 3, 1, 1)


def noisy(gradient):
    """Return the gradient plus a pattern that is always the same, 0.35 of its size."""
    source = torch.Generator().manual_seed(1)
    pattern = 2 * torch.randint(2, gradient.shape[1:], generator=source) - 1
    return gradient + 0.35 * pattern * gradient.pow(2).mean((1, 2, 3), keepdim=True).sqrt()


def small_ones_flipped(share):
    def flipped(gradient):
        limit = gradient.abs().flatten(1).quantile(share, 1).view(-1, 1, 1, 1)
        return torch.where(gradient.abs() < limit, -gradient, gradient)

    return flipped


def detached(images):
    centre = torch.zeros(8, 8)
    centre[2:6, 2:6] = 1
    return images * (1 - centre) + images.detach() * centre


LIES = {
    "half of the pixels": lie(half),
    "flipped": lie(lambda gradient: gradient.flip(-1)),
    "negative": lie(torch.neg),
    "random signs": lie(random_signs),
    "blurred": lie(blurred),
    "detached in the centre": lambda net: Around(net, before=detached),
    "another forward": Other,
    "rounded": lambda net: Around(net, before=lambda images: (images * 8).round() / 8),
}


# Random directions hardly see these, because the great values of the gradient are right.
LIES_ALONG = {
    "noisy": lie(noisy),
    "two fifths flipped": lie(small_ones_flipped(0.4)),
    "half flipped": lie(small_ones_flipped(0.5)),
}


class Attention(nn.Module):
    """A small vision transformer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 32, 2, 2)
        self.position = nn.Parameter(torch.randn(1, 16, 32) / 50)
        layer = nn.TransformerEncoderLayer(
            32, 4, 64, 0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.last = nn.Linear(32, 10)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.position
        return self.last(self.layers(tokens).mean(1))


@functools.cache
def batch_norm():
    torch.manual_seed(0)
    net = digits_models.network()
    return digits_models.train(net=nn.Sequential(net[0], nn.BatchNorm2d(16), *net[1:]))


@functools.cache
def attention():
    return digits_models.train(net=Attention())


def quantised_weights():
    net = copy.deepcopy(digits_models.robust())
    with torch.no_grad():
        for weight in net.parameters():
            scale = weight.abs().max() / 127
            weight.copy_((weight / scale).round() * scale)
    return net


def in_precision(dtype):
    net = copy.deepcopy(digits_models.natural()).to(dtype)
    return Around(net, lambda images: images.to(dtype), lambda logits: logits.float())


SOUND = {
    "natural": digits_models.natural,
    "robust": digits_models.robust,
    "overfitted": digits_models.overfitted,
    "batch norm": batch_norm,
    "attention": attention,
    "quantised weights": quantised_weights,
    "half": lambda: in_precision(torch.half),
    "bfloat16": lambda: in_precision(torch.bfloat16),
    "large logits": lambda: Around(digits_models.natural(), after=lambda logits: 1e4 * logits),
    "small logits": lambda: Around(digits_models.natural(), after=lambda logits: 1e-4 * logits),
    "untrained": digits_models.network,
}


def changes_of(net):
    split = digits_models.digits().validation
    evaluated = EvaluatedModel(net, split, {}, 0)
    batch = evaluated.batch_at(np.arange(120))
    with frozen(net):
        right = is_correct(net(batch.images), batch.labels).nonzero().squeeze(1)
        return loss_changes(evaluated, batch.take(right))


@pytest.mark.parametrize("sound", SOUND)
def test_the_gradient_of_a_sound_model_predicts_its_loss(sound):
    changes = changes_of(SOUND[sound]())
    assert agreement(changes) > 0.96
    assert 0.99 < along_gradient(changes) < 1.05


@pytest.mark.parametrize("name", LIES)
@pytest.mark.parametrize("under", [digits_models.natural, digits_models.robust, batch_norm])
def test_a_gradient_that_lies_is_found(name, under):
    torch.manual_seed(0)
    assert agreement(changes_of(LIES[name](under()))) < 0.85


@pytest.mark.parametrize("name", LIES_ALONG)
@pytest.mark.parametrize("under", [digits_models.natural, digits_models.robust, batch_norm])
def test_a_gradient_that_lies_where_it_is_small_is_found_along_it(name, under):
    assert along_gradient(changes_of(LIES_ALONG[name](under()))) < 0.89


def test_each_image_has_the_same_weight_and_none_agrees():
    for nothing in (np.empty((3, 2, 0, 5)), np.zeros((3, 2, 5, 5))):
        assert agreement(nothing) == along_gradient(nothing) == 1
    changes = np.random.default_rng(0).normal(size=(1, 1, 5, 5))
    changes = np.concatenate([changes, changes], 1)
    changes[:, :, 0] *= 1e9
    assert agreement(changes) == pytest.approx(1)
    changes[:, 1, 1:] = 0
    assert agreement(changes) == pytest.approx(0.45, abs=0.1)
    changes[:, 1] = 0
    assert agreement(changes) == 0
