import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gratis.attacks import BALLS
from gratis.seeds import generator

SHAPE = (4, 3, 5, 6)
ORDER = {"linf": float("inf"), "l2": 2.0}


def size(delta, norm):
    return torch.linalg.vector_norm(delta.flatten(1), ord=ORDER[norm], dim=1)


@pytest.mark.parametrize("norm", BALLS)
@settings(deadline=None, max_examples=30)
@example(epsilon=1.401298464324817e-45, spread=0.25, seed=0)
@given(epsilon=st.floats(0, 4), spread=st.floats(0, 10), seed=st.integers(0, 99))
def test_projection_is_inside_and_leaves_the_inside_alone(norm, epsilon, spread, seed):
    ball = BALLS[norm]
    delta = spread * torch.randn(SHAPE, generator=generator("cpu", seed))
    projected = ball.project(delta, epsilon)
    assert (size(projected, norm) <= epsilon * (1 + 1e-6)).all()
    again = ball.project(projected, epsilon * (1 + 1e-6))
    # Below the normal numbers a product keeps no relative precision.
    torch.testing.assert_close(again, projected, rtol=2e-6, atol=1e-37)


@pytest.mark.parametrize("norm", BALLS)
def test_projection_is_per_image(norm):
    delta = torch.zeros(SHAPE)
    delta[0] = 0.001
    delta[1] = 100
    projected = BALLS[norm].project(delta, 0.5)
    assert torch.equal(projected[0], delta[0])
    assert size(projected, norm)[1] == pytest.approx(0.5)


@pytest.mark.parametrize("norm", BALLS)
def test_zero_stays_zero_and_an_empty_ball_holds_only_zero(norm):
    zero = torch.zeros(SHAPE)
    assert torch.equal(BALLS[norm].steepest_step(zero, 0.1), zero)
    assert torch.equal(BALLS[norm].project(zero, 0.0), zero)
    assert torch.equal(BALLS[norm].project(torch.ones(SHAPE), 0.0), zero)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("magnitude", [1e-30, 1.0, 1e25])
def test_a_step_has_its_size_however_small_or_large_the_gradient(norm, magnitude):
    gradient = magnitude * torch.randn(SHAPE, generator=generator("cpu", 1))
    step = BALLS[norm].steepest_step(gradient, 0.25)
    torch.testing.assert_close(size(step, norm), torch.full((4,), 0.25))
    assert ((step.flatten(1) * gradient.flatten(1).sign()).sum(1) > 0).all()


def test_draws_are_uniform_in_the_cube():
    draws = BALLS["linf"].random((2000, 3, 2, 2), 0.5, generator("cpu", 2))
    assert draws.abs().max() <= 0.5
    assert draws.mean() == pytest.approx(0, abs=0.01)
    assert draws.std() == pytest.approx(1 / 12**0.5, abs=0.01)


def test_draws_are_uniform_in_the_euclidean_ball():
    draws = BALLS["l2"].random((4000, 3, 1, 1), 2.0, generator("cpu", 2))
    lengths = size(draws, "l2")
    assert lengths.max() <= 2.0 * (1 + 1e-6)
    # In three dimensions an eighth of the volume lies in the inner half.
    assert (lengths < 1).float().mean() == pytest.approx(1 / 8, abs=0.02)
    assert draws.mean((0, 2, 3)).abs().max() < 0.05
