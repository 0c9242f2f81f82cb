import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gratis.augmentation import Augment, AugmentSettings
from gratis.augmentation.augment import _sample, lines
from gratis.augmentation.colour import colour_maps, map_colours, mean_grey
from gratis.errors import GratisError
from gratis.seeds import generator
from gratis.settings import validate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kornia

IDENTITY = {"rotation": 0, "scale": (1, 1), "shift": 0, "crop": 1, "flip": 0}
PLAIN = {"hue": 0, "saturation": 0, "brightness": 0, "contrast": 0}


def resample(images, affines):
    return _sample(images, *lines(affines, *images.shape[2:]))


def only(**changed):
    return AugmentSettings(**{**IDENTITY, **PLAIN, **changed})


def photos(n=6, height=12, width=12):
    return torch.rand((n, 3, height, width), generator=generator("cpu", "photos"))


def views_of(images, how, seed=0, views=1):
    return Augment(how)(images, generator("cpu", seed), views)


def test_settings_that_change_nothing_return_the_images_bit_for_bit():
    images = photos()
    views, affines = views_of(images, only(), views=2)
    assert torch.equal(views, torch.cat([images, images]))
    assert torch.equal(affines, torch.eye(2, 3).expand(12, 2, 3))


@pytest.mark.parametrize("word", PLAIN)
def test_colours_alone_do_not_resample(word):
    views, affines = views_of(photos(), only(**{word: 0.3}))
    assert torch.equal(affines, torch.eye(2, 3).expand(6, 2, 3))
    assert not torch.equal(views, photos())


def test_geometry_alone_does_not_recolour():
    images = torch.full((4, 3, 9, 9), 0.37)
    views, _ = views_of(images, only(crop=0.5, flip=0.5))
    torch.testing.assert_close(views, images)


@settings(deadline=None, max_examples=25)
@given(
    rotation=st.floats(0, 180),
    low=st.floats(0.3, 1),
    shift=st.floats(0, 1),
    crop=st.floats(0.1, 1),
    colours=st.floats(0, 1),
    height=st.integers(1, 9),
)
def test_views_stay_in_range(rotation, low, shift, crop, colours, height):
    how = AugmentSettings(
        rotation=rotation,
        scale=(low, 2.0),
        shift=shift,
        crop=crop,
        hue=colours / 2,
        saturation=colours,
        brightness=colours,
        contrast=colours,
    )
    views, affines = views_of(photos(3, height, 7), how, views=2)
    assert views.shape == (6, 3, height, 7) and affines.shape == (6, 2, 3)
    assert views.min() >= 0 and views.max() <= 1


def test_equal_images_get_different_views_and_a_seed_repeats_them():
    images = photos(1).expand(4, 3, 12, 12)
    views, affines = views_of(images, AugmentSettings(), views=2)
    for i in range(8):
        for j in range(i):
            assert not torch.equal(views[i], views[j])
    again = views_of(images, AugmentSettings(), views=2)
    assert torch.equal(again[0], views) and torch.equal(again[1], affines)
    assert not torch.equal(views_of(images, AugmentSettings(), seed=1, views=2)[0], views)


def test_views_are_view_major():
    images = photos(3)
    views, affines = views_of(images, only(rotation=30), views=2)
    torch.testing.assert_close(views, resample(torch.cat([images, images]), affines))


@pytest.mark.parametrize("how", [AugmentSettings(), only(), only(hue=0.1), only(rotation=9)])
def test_memory_format_is_kept(how):
    for layout in (torch.channels_last, torch.contiguous_format):
        views, _ = views_of(photos().contiguous(memory_format=layout), how, views=2)
        assert views.is_contiguous(memory_format=layout)
    flat = views_of(photos(), how)[0]
    turned = views_of(photos().contiguous(memory_format=torch.channels_last), how)[0]
    torch.testing.assert_close(turned, flat)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_views_do_not_depend_on_the_size_of_the_pieces(monkeypatch, layout):
    images = photos(7).contiguous(memory_format=layout)
    whole, _ = views_of(images, AugmentSettings(), views=2)
    # Three images per piece: the last piece of each view has one.
    monkeypatch.setattr("gratis.augmentation.augment.PIECE", 3 * 12 * 12)
    pieces, _ = views_of(images, AugmentSettings(), views=2)
    assert torch.equal(pieces, whole)


def test_the_images_are_not_changed():
    images = photos()
    views_of(images, AugmentSettings())
    assert torch.equal(images, photos())


def test_autocast_does_not_change_views():
    expected = views_of(photos(), AugmentSettings())[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = views_of(photos(), AugmentSettings())[0]
    assert torch.equal(found, expected)


def test_a_batch_of_one_and_double_precision():
    views, affines = views_of(photos(1).double(), AugmentSettings())
    assert views.dtype == affines.dtype == torch.float64


@pytest.mark.parametrize(("height", "width"), [(12, 12), (9, 14)])
def test_geometry_agrees_with_kornia(height, width):
    images = photos(6, height, width)
    views, affines = views_of(images, AugmentSettings(**PLAIN))
    # From pixels of the view to pixels of the image; kornia takes the inverse.
    to_unit = torch.tensor(
        [[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]]
    )
    square = torch.cat([affines, torch.tensor([0.0, 0, 1]).expand(6, 1, 3)], dim=1)
    pixels = torch.linalg.inv(to_unit) @ square @ to_unit
    forward = torch.linalg.inv(pixels)[:, :2]
    theirs = kornia.geometry.transform.warp_affine(images, forward, (height, width))
    torch.testing.assert_close(views, theirs, rtol=0, atol=1e-4)


def test_rotation_is_rigid_in_pixels_and_within_its_limit():
    height, width = 10, 20
    _, affines = views_of(photos(200, height, width), only(rotation=25))
    sides = torch.tensor([width / 2, height / 2])
    rigid = affines[:, :, :2] * sides[:, None] / sides[None, :]
    torch.testing.assert_close(rigid @ rigid.mT, torch.eye(2).expand(200, 2, 2))
    degrees = torch.rad2deg(torch.atan2(rigid[:, 0, 1], rigid[:, 0, 0]))
    assert degrees.abs().max() <= 25.001 and degrees.min() < -20 and degrees.max() > 20


def test_a_quarter_turn_equals_rot90():
    images = photos(4)
    quarter = torch.tensor([[0.0, -1, 0], [1, 0, 0]]).expand(4, 2, 3)
    assert torch.allclose(resample(images, quarter), images.rot90(1, (2, 3)), atol=1e-5)


def test_scale_enlarges_the_content():
    _, affines = views_of(photos(100), only(scale=(1.5, 2)))
    assert (1 / affines[:, 0, 0]).min() >= 1.499 and (1 / affines[:, 0, 0]).max() <= 2.001


def test_shift_moves_within_its_share_of_the_side():
    images = photos(100, 10, 20)
    views, affines = views_of(images, only(shift=0.25))
    assert 0.45 < affines[:, :, 2].abs().max() <= 0.5
    exact = torch.eye(2, 3).repeat(100, 1, 1)
    exact[:, 0, 2] = -2 * 3 / 20
    moved = resample(images, exact)
    torch.testing.assert_close(moved[..., 3:], images[..., :-3], rtol=0, atol=1e-5)
    assert (moved[..., :3] < 1e-4).all()
    assert views.shape == images.shape


def test_crop_windows_lie_inside_and_reach_the_edges():
    _, affines = views_of(photos(300), only(crop=0.5))
    kept, centre = affines[:, 0, 0], affines[:, :, 2]
    assert kept.min() >= 0.5 and kept.max() <= 1
    # The outermost pixel centres of 12 lie at 11/12, which windows reach and do not pass.
    outermost = centre.abs() + kept[:, None] * 11 / 12
    assert outermost.max() <= 11 / 12 + 1e-6
    assert outermost.max() > 0.98 * 11 / 12


def test_flip_mirrors_and_twice_is_the_identity():
    images = photos()
    once, _ = views_of(images, only(flip=1))
    torch.testing.assert_close(once, images.flip(3), rtol=0, atol=1e-5)
    twice, _ = views_of(once, only(flip=1), seed=1)
    torch.testing.assert_close(twice, images, rtol=0, atol=1e-5)
    _, affines = views_of(photos(400), only(flip=0.25))
    assert (affines[:, 0, 0] < 0).float().mean() == pytest.approx(0.25, abs=0.06)


def factors(low, high, n=6):
    return torch.linspace(low, high, n)


def recolour(images, *factors, **named):
    return map_colours(images, *colour_maps(mean_grey(images), *factors, **named))


def recoloured(images, **changed):
    neutral = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
    given = {word: torch.full((len(images),), value) for word, value in neutral.items()}
    return recolour(images, **{**given, **changed}).clamp(0, 1)


ORACLES = {
    "brightness": kornia.enhance.adjust_brightness_accumulative,
    "contrast": kornia.enhance.adjust_contrast_with_mean_subtraction,
    "saturation": kornia.enhance.adjust_saturation_with_gray_subtraction,
}


@pytest.mark.parametrize("word", ORACLES)
def test_colours_agree_with_kornia(word):
    strength = factors(0, 2)
    theirs = ORACLES[word](photos(), strength)
    torch.testing.assert_close(recoloured(photos(), **{word: strength}), theirs, rtol=0, atol=2e-4)


def naive_hue(pixel, turns):
    forward = np.array(
        [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
    )
    luma, in_phase, quadrature = forward @ pixel
    angle = 2 * math.pi * turns
    turned = (
        luma,
        math.cos(angle) * in_phase - math.sin(angle) * quadrature,
        math.sin(angle) * in_phase + math.cos(angle) * quadrature,
    )
    return np.linalg.solve(forward, turned)


def test_hue_agrees_with_a_rotation_of_every_pixel():
    images, turns = photos(3, 4, 4), torch.tensor([-0.3, 0.05, 0.5])
    found = recolour(images, *torch.ones(3, 3), turns)
    expected = np.empty(images.shape, dtype=np.float32)
    for i, row, column in np.ndindex(3, 4, 4):
        pixel = images[i, :, row, column].numpy().astype(float)
        expected[i, :, row, column] = naive_hue(pixel, turns[i].item())
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=0, atol=1e-5)


def test_the_joint_map_is_the_four_maps_in_order():
    images = photos()
    changes = {
        "brightness": factors(0.7, 1.3),
        "contrast": factors(1.2, 0.8),
        "saturation": factors(0.5, 1.5),
        "hue": factors(-0.2, 0.3),
    }
    step = images
    ones = torch.ones(6)
    for word, strength in changes.items():
        given = {"brightness": ones, "contrast": ones, "saturation": ones, "hue": 0 * ones}
        step = recolour(step, **{**given, word: strength})
    torch.testing.assert_close(recolour(images, **changes), step, rtol=0, atol=1e-5)


def test_grey_has_no_hue_and_a_full_turn_changes_nothing():
    grey = photos()[:, :1].expand(6, 3, 12, 12)
    torch.testing.assert_close(recoloured(grey, hue=factors(-0.5, 0.5)), grey)
    full = recoloured(photos(), hue=torch.ones(6))
    torch.testing.assert_close(full, photos(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("word", ["brightness", "contrast", "saturation"])
def test_factors_reach_their_limits_and_do_not_exceed_them(word):
    # Every factor can be read off one half-grey, faintly red pixel.
    images = torch.tensor([0.5, 0.4, 0.4])[:, None, None].expand(500, 3, 1, 1)
    views, _ = views_of(images, only(**{word: 0.3}))
    limits = [recoloured(images, **{word: torch.full((500,), f)})[0] for f in (0.7, 1.3)]
    low, high = torch.minimum(*limits), torch.maximum(*limits)
    assert (views >= low - 1e-6).all() and (views <= high + 1e-6).all()
    assert (views.std(0) > 0).any()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"rotation": -1}, "rotation"),
        ({"scale": [1.1, 0.9]}, "scale must be"),
        ({"scale": [0, 1]}, "scale"),
        ({"crop": 0}, "crop"),
        ({"flip": 1.5}, "flip"),
        ({"hue": 0.6}, "hue"),
        ({"contrast": 2}, "contrast"),
        ({"rotate": 10}, "did you mean 'rotation'"),
    ],
)
def test_wrong_settings_are_refused(content, complaint):
    with pytest.raises(GratisError, match=complaint):
        validate(AugmentSettings, content, "augment")
