"""What happens to images: random views, gradient attacks, and the budgets of both.

Images are float, (n, 3, H, W), in [0, 1]; epsilon is in the same units. Everything runs on the
images' own device and at their own resolution, one image independent of the next.
"""

from gratis.perturb.augment import Augment, AugmentSettings, resample
from gratis.perturb.budget import BALLS, L2, Ball, Linf, Norm
from gratis.perturb.gradient import (
    AttackSettings,
    Classify,
    ascend,
    attack,
    cross_entropy,
    input_gradient,
)
from gratis.perturb.modes import frozen, frozen_statistics

__all__ = [
    "BALLS",
    "L2",
    "AttackSettings",
    "Augment",
    "AugmentSettings",
    "Ball",
    "Classify",
    "Linf",
    "Norm",
    "ascend",
    "attack",
    "cross_entropy",
    "frozen",
    "frozen_statistics",
    "input_gradient",
    "resample",
]
