import pytest
import torch
from torch import nn

from gratis.training.monitor import OverfittingMonitor

EPSILON = 0.1


class Brightness(nn.Module):
    """Predicts class 1 for images brighter than a half; attacks on it are known exactly."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))
        self.dropout = nn.Dropout(0.9)

    def forward(self, images):
        brighter = self.scale * self.dropout(images.mean((1, 2, 3), keepdim=False) - 0.5)
        return torch.stack([-brighter, brighter], dim=1)


def shades(*values):
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 4, 4).contiguous()


def test_accuracies_are_those_of_a_known_model():
    # One wrong, two right but within epsilon of a half, three right and robust.
    images = shades(0.4, 0.45, 0.58, 0.3, 0.65, 0.9)
    labels = torch.tensor([1, 0, 1, 0, 1, 1])
    found = OverfittingMonitor(images, labels, EPSILON, 0, 4)(Brightness().train())
    assert found == pytest.approx({"clean": 5 / 6, "fgsm": 3 / 6, "pgd": 3 / 6})


def test_pgd_fools_a_model_that_one_step_does_not():
    class Narrow(nn.Module):
        """Wrong only in a narrow band within epsilon, and flat beyond: a masked gradient."""

        def forward(self, images):
            shade = images.mean((1, 2, 3))
            wrong = 2 * torch.exp(-(((shade - 0.55) / 0.015) ** 2)) - 0.5
            return torch.stack([torch.zeros_like(wrong), wrong], dim=1)

    images, labels = shades(*([0.5] * 4)), torch.zeros(4, dtype=torch.int64)
    found = OverfittingMonitor(images, labels, EPSILON, 0, 4)(Narrow())
    assert found["clean"] == found["fgsm"] == 1
    assert found["pgd"] < 1


def test_the_model_does_not_change():
    model = Brightness().train()
    model.dropout.eval()
    before = model.scale.detach().clone()
    OverfittingMonitor(shades(0.3, 0.9), torch.tensor([0, 1]), EPSILON, 0, 4)(model)
    assert model.training
    assert not model.dropout.training
    assert model.scale.grad is None
    assert model.scale.requires_grad
    assert torch.equal(model.scale, before)


def test_gradients_of_the_parameters_do_not_change():
    model = Brightness()
    model(shades(0.3)).sum().backward()
    model.scale.grad = torch.tensor(3.0)
    OverfittingMonitor(shades(0.3, 0.9), torch.tensor([0, 1]), EPSILON, 0, 4)(model)
    assert model.scale.grad == 3


def test_the_result_is_reproducible():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))
    monitor = OverfittingMonitor(torch.rand(40, 3, 8, 8), torch.arange(40) % 4, 0.02, 5, 16)
    state = torch.get_rng_state()
    assert monitor(model) == monitor(model)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("batch_size", [1, 7, 39, 40, 64])
def test_the_batch_size_does_not_matter(batch_size):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4)).double()
    images, labels = torch.rand(40, 3, 8, 8, dtype=torch.float64), torch.arange(40) % 4
    sizes = []
    model.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    whole = OverfittingMonitor(images, labels, 0.02, 5, 40)(model)
    sizes.clear()
    assert OverfittingMonitor(images, labels, 0.02, 5, batch_size)(model) == whole
    assert max(sizes) == min(batch_size, 40)
