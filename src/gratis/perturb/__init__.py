"""What happens to images: random views, gradient attacks, and the budgets of both.

Images are float, (n, 3, H, W), in [0, 1]; epsilon is in the same units. Everything runs on the
images' own device and at their own resolution, one image independent of the next.
"""

from gratis.perturb.augment import Augment, AugmentSettings, resample
from gratis.perturb.budget import BALLS, L2, Ball, Linf, Norm
from gratis.perturb.gradient import AttackSettings, Classify, ascend, input_gradient
from gratis.perturb.losses import LOSSES, LossName, cross_entropy, margin
from gratis.perturb.modes import frozen, frozen_statistics, full_precision
from gratis.perturb.search import Found, attack, search
from gratis.perturb.warp import inverse, warp

__all__ = [
    "BALLS",
    "L2",
    "LOSSES",
    "AttackSettings",
    "Augment",
    "AugmentSettings",
    "Ball",
    "Classify",
    "Found",
    "Linf",
    "LossName",
    "Norm",
    "ascend",
    "attack",
    "cross_entropy",
    "frozen",
    "frozen_statistics",
    "full_precision",
    "input_gradient",
    "inverse",
    "margin",
    "resample",
    "search",
    "warp",
]
