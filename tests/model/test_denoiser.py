import pytest
import torch
from torch.nn import functional

from gratis.model import Denoiser, DenoiserSettings

SIZES = [(8, 8), (64, 64), (7, 9), (1, 1), (13, 4), (2, 5), (3, 3)]


@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("channels", [1, 16])
def test_it_starts_as_the_identity_at_any_size(height, width, channels):
    images = torch.rand(2, 3, height, width)
    assert torch.equal(Denoiser(DenoiserSettings(width=channels))(images), images)


@pytest.mark.parametrize("height, width", SIZES)
def test_without_the_skip_connection_it_predicts_the_image(height, width):
    images = torch.rand(2, 3, height, width)
    denoiser = Denoiser(DenoiserSettings(width=2, skip=False))
    denoised = denoiser(images)
    assert denoised.shape == images.shape
    torch.nn.init.zeros_(denoiser.decoder[3].weight)
    torch.nn.init.constant_(denoiser.decoder[3].bias, 0.25)
    assert torch.equal(denoiser(images), torch.full_like(images, 0.25))


@pytest.mark.parametrize("height, width", SIZES)
def test_a_trained_denoiser_keeps_the_shape(height, width):
    denoiser = Denoiser(DenoiserSettings(width=2))
    torch.nn.init.normal_(denoiser.decoder[3].weight)
    images = torch.rand(2, 3, height, width)
    denoised = denoiser(images)
    assert denoised.shape == images.shape
    assert not torch.equal(denoised, images)


def test_all_layers_learn_from_the_first_step():
    torch.manual_seed(0)
    denoiser = Denoiser(DenoiserSettings(width=8))
    optimizer = torch.optim.Adam(denoiser.parameters(), 0.01)
    clean = functional.interpolate(torch.rand(8, 3, 2, 2), (9, 9), mode="bilinear")
    noisy = clean + 0.1 * torch.randn_like(clean)
    losses = []
    for _ in range(40):
        loss = functional.mse_loss(denoiser(noisy), clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert all(parameter.grad.abs().sum() > 0 for parameter in denoiser.parameters())
    assert losses[-1] < 0.7 * losses[0]


def test_gradients_pass_where_values_leave_the_range():
    denoiser = Denoiser(DenoiserSettings(width=2))
    torch.nn.init.constant_(denoiser.decoder[3].bias, 2.0)
    images = torch.rand(1, 3, 8, 8, requires_grad=True)
    denoised = denoiser(images)
    assert denoised.min() > 1
    denoised.sum().backward()
    assert bool((images.grad != 0).all())
