import pytest
import torch

from gratis.playground.distortions import Distortion

IMAGES = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_defaults_change_nothing():
    assert torch.equal(Distortion().apply(IMAGES), IMAGES)


def test_turning_is_counter_clockwise():
    turned = Distortion(rotation=90).apply(IMAGES)
    assert torch.allclose(turned, IMAGES.rot90(1, (2, 3)), atol=1e-5)


def test_shifting_is_to_the_right():
    shifted = Distortion(shift=0.25).apply(IMAGES)
    assert torch.allclose(shifted[..., 8:], IMAGES[..., :-8], atol=1e-5)
    assert not shifted[..., :8].any()


def test_without_saturation_the_image_is_grey():
    grey = Distortion(saturation=0).apply(IMAGES)
    assert torch.allclose(grey[:, 0], grey[:, 2], atol=1e-6)


@pytest.mark.parametrize(
    "change", [Distortion(scale=1.5), Distortion(hue=0.3), Distortion(blur=0.05)], ids=str
)
def test_others_change_the_image_and_keep_its_range(change):
    changed = change.apply(IMAGES)
    assert changed.shape == IMAGES.shape
    assert not torch.allclose(changed, IMAGES, atol=1e-2)
    assert changed.min() >= 0
    assert changed.max() <= 1
