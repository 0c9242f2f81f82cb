"""Gradient attacks: one attack loop, its losses and its norms.

Images are float, (n, 3, H, W), in [0, 1]; epsilon is in the same units. Attacks run on the images'
own device and resolution, and one image never affects another.
"""

from gratis.attacks.attack import AttackResult, attack, run_attack
from gratis.attacks.losses import LOSSES, LossName, cross_entropy, margin
from gratis.attacks.modes import frozen, frozen_statistics, full_precision
from gratis.attacks.norms import BALLS, L2, Linf, LpBall, Norm
from gratis.attacks.pgd import AttackSettings, Classify, input_gradient, run_pgd

__all__ = [
    "BALLS",
    "L2",
    "LOSSES",
    "AttackResult",
    "AttackSettings",
    "Classify",
    "Linf",
    "LossName",
    "LpBall",
    "Norm",
    "attack",
    "cross_entropy",
    "frozen",
    "frozen_statistics",
    "full_precision",
    "input_gradient",
    "margin",
    "run_attack",
    "run_pgd",
]
