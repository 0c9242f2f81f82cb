import copy

import pytest
import timm.layers
import torch
from torch import nn

from gratis.attacks import frozen, frozen_statistics


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
        held = network(images)
    torch.testing.assert_close(held, network(images))


def test_statistics_move_again_afterwards(network):
    with frozen_statistics(network):
        network(torch.rand(4, 3, 6, 6))
    assert network[2].num_batches_tracked == 0
    network(torch.rand(4, 3, 6, 6))
    assert network[2].num_batches_tracked == 1
    assert network[1].num_batches_tracked == 0
