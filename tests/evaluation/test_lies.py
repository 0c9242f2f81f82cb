"""Models that lie about their robustness are flagged by ``standard``; honest ones pass."""

import functools

import pytest
import torch
from test_directional_derivatives import LIES, LIES_ALONG, SOUND, Around

import digits_models
from digits_models import EPSILON
from gratis.evaluation import EvaluateSettings, measure
from gratis.validation_sets import build, load

SETTINGS = EvaluateSettings(
    suite="standard", epsilon=EPSILON, epsilon_l2=0.5, images=120, pgd_steps=10, restarts=1
)
CLAMPED = {
    f"logits clamped {name}": lambda net, low=low, high=high: Around(
        net, after=lambda logits: logits.clamp(low, high)
    )
    for name, low, high in (("at 3", -3, 3), ("at 8", -8, 8), ("above", None, 5))
}
# What flags each lie; others may too.
SIGNS = {
    **dict.fromkeys(LIES | LIES_ALONG, "directional derivatives"),
    **dict.fromkeys(CLAMPED, "gradient"),
}
# These mislead an attack so much that random search finds what it misses.
MISLEADING = {
    "half of the pixels",
    "flipped",
    "negative",
    "detached in the centre",
    "another forward",
    "rounded",
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder, split = tmp_path_factory.mktemp("sets"), digits_models.digits().validation
    build(folder, split, False, None, EPSILON, 0)
    sets = load(folder, split)
    torch.manual_seed(0)
    return functools.partial(measure, split=split, sets=sets, settings=SETTINGS, seed=0)


def flags(found):
    return {check.name for check in found.checks if not check.passed}


@pytest.mark.parametrize("lie", SIGNS)
def test_a_lie_is_flagged(lie, measured):
    found = measured((LIES | LIES_ALONG | CLAMPED)[lie](digits_models.natural()))
    assert SIGNS[lie] in flags(found)
    if lie in MISLEADING:
        assert "square against gradients" in flags(found)
        assert found.accuracy("robust") < found.accuracy("pgd_margin") - 0.1


@pytest.mark.parametrize(
    "sound", [name for name in SOUND if name not in ("overfitted", "untrained")]
)
def test_an_honest_model_is_not_flagged(sound, measured):
    assert flags(measured(SOUND[sound]())) == set()
