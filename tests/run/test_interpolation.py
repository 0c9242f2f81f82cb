"""Models between two: their weights, and the statistics of their batch norm."""

import numpy as np
import pytest
import torch
from torch import nn

from gratis.data import DataSettings, load, to_float
from gratis.model import Classifier, DenoiserSettings, HeadSettings, ModelSettings
from gratis.run.interpolation import estimate_statistics, interpolate


@pytest.fixture(scope="module")
def digits():
    return load(DataSettings(name="digits"))


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())


def states():
    torch.manual_seed(0)
    natural, hardened = (network().state_dict() for _ in range(2))
    hardened["1.num_batches_tracked"] += 7
    return natural, hardened


def test_the_ends_are_exact_and_the_middle_is_the_mean():
    natural, hardened = states()
    for alpha, end in ((0, natural), (1, hardened)):
        found = interpolate(natural, hardened, alpha)
        assert all(torch.equal(found[name], end[name]) for name in end)
    middle = interpolate(natural, hardened, 0.5)
    for name, tensor in middle.items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor, (natural[name] + hardened[name]) / 2)
    assert middle["1.num_batches_tracked"] == 7


def test_statistics_are_those_of_natural_training_images(digits):
    model = network().eval()
    training = np.arange(300)
    estimate_statistics(model, digits, training)
    with torch.no_grad():
        features = model[0](to_float(digits.train.images[training], "cpu"))
    # Batches of equal size, so that the mean of their means is the mean of all.
    assert torch.allclose(model[1].running_mean, features.mean((0, 2, 3)), atol=1e-5)
    parts = [part.var((0, 2, 3)) for part in features.split(100)]
    assert torch.allclose(model[1].running_var, torch.stack(parts).mean(0), atol=1e-5)
    assert not model.training and model[1].momentum == 0.1


def test_the_statistics_behind_a_denoiser_are_those_of_denoised_images(digits):
    torch.manual_seed(0)
    settings = ModelSettings(
        channels=(8, 8, 8, 8),
        stem="small",
        head=HeadSettings(layers=0, dropout=0),
        denoiser=DenoiserSettings(width=4),
    )
    model, training = Classifier(settings, 10), np.arange(200)
    estimate_statistics(model, digits, training)
    seen = []
    model.backbone.bn1.register_forward_hook(lambda module, inputs, _: seen.append(inputs[0]))
    with torch.no_grad():
        for part in to_float(digits.train.images[training], "cpu").split(100):
            model.train()(part)
            model.eval()(part)
    batch_means = [features.mean((0, 2, 3)) for features in seen[::2]]
    # The last two passes moved the statistics by a known share.
    expected = torch.stack(batch_means).mean(0)
    for mean in batch_means:
        expected = 0.9 * expected + 0.1 * mean
    assert torch.allclose(model.backbone.bn1.running_mean, expected, atol=1e-5)
    plain = to_float(digits.train.images[training], "cpu").split(100)
    with torch.no_grad():
        unseen = torch.stack([model.backbone.conv1(part).mean((0, 2, 3)) for part in plain])
    assert not torch.allclose(expected, unseen.mean(0), atol=1e-3)


def test_held_out_images_do_not_enter_the_statistics(digits):
    found = []
    for training in (np.arange(200), np.arange(200, 400)):
        torch.manual_seed(0)
        model = network()
        estimate_statistics(model, digits, training)
        found.append(model[1].running_mean.clone())
    assert not torch.equal(*found)


def test_a_model_without_batch_norm_stays_as_it_is(digits):
    model = nn.Sequential(nn.Flatten(), nn.LayerNorm(192), nn.Linear(192, 2))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    estimate_statistics(model, digits, np.arange(100))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
