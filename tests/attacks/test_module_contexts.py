import copy

import pytest
import timm.layers
import torch
from torch import nn

from gratis.attacks import channels_last, frozen, frozen_statistics


@pytest.fixture
def network():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), timm.layers.BatchNormAct2d(4), nn.Dropout(0.5)
    )
    net.train()
    net[1].eval()
    net[0].bias.requires_grad_(False)
    return net


def state(net):
    modes = [part.training for part in net.modules()]
    tracked = [getattr(part, "track_running_stats", None) for part in net.modules()]
    return modes, tracked, [parameter.requires_grad for parameter in net.parameters()]


def equal(before, after):
    return all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("hold", [frozen, frozen_statistics])
def test_everything_is_restored_even_after_an_exception(hold, network):
    before, weights = state(network), copy.deepcopy(network.state_dict())
    with pytest.raises(RuntimeError, match="stop"), hold(network):
        network(torch.rand(4, 3, 6, 6))
        raise RuntimeError("stop")
    assert state(network) == before
    assert equal(weights, network.state_dict())


def test_frozen_is_evaluation_mode_without_parameter_gradients(network):
    with frozen(network):
        assert not any(part.training for part in network.modules())
        assert not any(parameter.requires_grad for parameter in network.parameters())


def test_frozen_statistics_keep_the_output_of_training_mode(network):
    network[3].p = 0.0
    images = torch.rand(4, 3, 6, 6)
    with frozen_statistics(network):
        assert network.training
        frozen_output = network(images)
    torch.testing.assert_close(frozen_output, network(images))


def test_statistics_move_again_afterwards(network):
    with frozen_statistics(network):
        network(torch.rand(4, 3, 6, 6))
    assert network[2].num_batches_tracked == 0
    network(torch.rand(4, 3, 6, 6))
    assert network[2].num_batches_tracked == 1
    assert network[1].num_batches_tracked == 0


def test_channels_last_converts_what_can_be_converted_and_restores_the_storage():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LazyConv2d(4, 3), nn.Linear(3, 3))
    net.register_buffer("volume", torch.rand(1, 2, 2, 2, 2))
    weight = net[0].weight
    pointer, stride, content = weight.data_ptr(), weight.stride(), weight.detach().clone()
    with pytest.raises(RuntimeError, match="stop"), channels_last(net):
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert weight is net[0].weight and torch.equal(weight, content)
        raise RuntimeError("stop")
    assert (weight.data_ptr(), weight.stride()) == (pointer, stride)
    assert torch.equal(weight, content)
