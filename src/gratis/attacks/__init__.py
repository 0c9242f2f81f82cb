"""Gradient attacks: one attack loop with its settings, norms and losses.

Images are float, (n, 3, H, W), in [0, 1]; epsilon is in the same units. Attacks run on the images'
own device and resolution, and one image never affects another.

To add an attack:

* another combination of steps, norm and loss is a constructor in ``settings.py``, named in
  ``AttackName`` and listed in ``ATTACKS`` for :func:`gratis.attack`, and in a suite in
  ``gratis/evaluation/suites.py`` for evaluations;
* another norm is a subclass of :class:`LpBall` in ``norms.py``, listed in ``BALLS``;
* another loss is a function in ``losses.py``, listed in ``LOSSES``;
* an attack with steps of another kind, or for evaluations only, is an
  :class:`~gratis.evaluation.tasks.EvalTask` in a file in ``gratis/evaluation``, such as
  ``worst_of_k.py``, listed in ``suites.py``.
"""

from gratis.attacks.attack import AttackResult, attack, run_attack
from gratis.attacks.losses import LOSSES, LossName, cross_entropy, is_correct, margin
from gratis.attacks.module_contexts import channels_last, frozen, frozen_statistics
from gratis.attacks.norms import BALLS, LpBall, Norm
from gratis.attacks.pgd import Classify, NoGradientError, input_gradient, run_pgd
from gratis.attacks.settings import ATTACKS, AttackSettings
from gratis.attacks.square import SquareSettings, square_attack

__all__ = [
    "ATTACKS",
    "BALLS",
    "LOSSES",
    "AttackResult",
    "AttackSettings",
    "Classify",
    "LossName",
    "LpBall",
    "NoGradientError",
    "Norm",
    "SquareSettings",
    "attack",
    "channels_last",
    "cross_entropy",
    "frozen",
    "frozen_statistics",
    "input_gradient",
    "is_correct",
    "margin",
    "run_attack",
    "run_pgd",
    "square_attack",
]
