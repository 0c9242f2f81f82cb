"""Warped deltas follow their images, exactly where pixels map to pixels."""

import pytest
import torch
from torch.nn import functional

from gratis.augmentation import Augment, AugmentSettings, inverse, warp
from gratis.seeds import generator

SHAPE = (6, 3, 8, 12)


def signs(shape=SHAPE):
    source = generator("cpu", "signs")
    return torch.where(torch.rand(shape, generator=source) < 0.5, -0.03, 0.03)


def maps_of(settings, n=SHAPE[0], height=SHAPE[2], width=SHAPE[3], dtype=torch.float32):
    images = torch.zeros((n, 3, height, width), dtype=dtype)
    return Augment(AugmentSettings.model_validate(settings))(images, generator("cpu", "maps"))[1]


def same(*rows):
    return torch.tensor(rows).expand(SHAPE[0], 2, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int8])
def test_the_identity_returns_the_delta_bit_for_bit(dtype):
    delta = (1000 * signs()).to(dtype)
    warped, seen = warp(delta, torch.eye(2, 3).expand(SHAPE[0], 2, 3))
    assert warped.dtype == dtype
    assert torch.equal(warped, delta)
    assert seen.shape == (SHAPE[0], 1, *SHAPE[2:])
    assert seen.all()


def test_a_flip_is_exact():
    warped, seen = warp(signs(), same([-1.0, 0, 0], [0, 1, 0]))
    assert torch.equal(warped, signs().flip(3))
    assert seen.all()


def test_a_half_turn_is_exact():
    warped, _ = warp(signs(), same([-1.0, 0, 0], [0, -1, 0]))
    assert torch.equal(warped, signs().flip(2, 3))


@pytest.mark.parametrize(("right", "down"), [(1, 0), (-3, 2), (0, -5), (20, 0)])
def test_shifts_by_whole_pixels_are_exact_and_zero_outside(right, down):
    height, width = SHAPE[2:]
    warped, seen = warp(signs(), same([1, 0, 2 * right / width], [0, 1, 2 * down / height]))
    for row in range(height):
        for column in range(width):
            y, x = row + down, column + right
            inside = 0 <= y < height and 0 <= x < width
            expected = signs()[:, :, y, x] if inside else torch.zeros(SHAPE[:2])
            assert torch.equal(warped[:, :, row, column], expected)
            assert (seen[:, 0, row, column] == inside).all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_agrees_with_nearest_neighbours_of_grid_sample(layout):
    # In double precision no coordinate lies on the edge between two pixels.
    delta, affines = (
        signs().double().contiguous(memory_format=layout),
        maps_of({}, dtype=torch.float64),
    )
    grid = functional.affine_grid(affines, list(SHAPE), align_corners=False)
    expected = functional.grid_sample(delta, grid, mode="nearest", align_corners=False)
    warped, seen = warp(delta, affines)
    assert torch.equal(warped, expected)
    ones = functional.grid_sample(torch.ones_like(delta), grid, mode="nearest", align_corners=False)
    assert torch.equal(seen.expand_as(ones), ones.bool())


def test_warping_makes_no_new_values():
    warped, seen = warp(signs(), maps_of({}))
    assert (warped.abs() == signs().abs().max()).eq(seen).all()


def test_the_inverse_is_a_left_and_a_right_inverse():
    affines = maps_of({"rotation": 90}, dtype=torch.float64)
    last = torch.tensor([[[0.0, 0, 1]]], dtype=torch.float64).expand(len(affines), 1, 3)
    square, back = torch.cat([affines, last], 1), torch.cat([inverse(affines), last], 1)
    unit = torch.eye(3, dtype=torch.float64).expand_as(square)
    torch.testing.assert_close(square @ back, unit)
    torch.testing.assert_close(back @ square, unit)


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({"rotation": 15, "scale": [1, 1], "crop": 1}, 0.92),
        ({"rotation": 15, "scale": [1, 1], "crop": 0.8}, 0.97),
        ({}, 0.95),
    ],
    ids=["rigid", "larger", "usual"],
)
def test_warping_there_and_back_keeps_most_visible_pixels_in_place(settings, share):
    # Every pixel has its own number, so that none is right by chance.
    delta = torch.arange(1, 1025).view(1, 1, 32, 32).repeat(64, 3, 1, 1)
    affines = maps_of(settings, 64, 32, 32)
    there, _ = warp(delta, affines)
    back, seen = warp(there, inverse(affines))
    assert seen.float().mean() > 0.6
    seen = seen.expand_as(back)
    assert (back == delta)[seen].float().mean() > share
