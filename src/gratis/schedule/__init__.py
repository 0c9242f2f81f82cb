"""Schedules: how epsilon, replays, rates and weights change through training.

A schedule maps progress ``t`` to a number. Progress is passes done / passes planned, in [0, 1]. In
YAML a schedule is a number (or a fraction such as ``8/255``), or one word that names its shape::

    epsilon: 8/255
    epsilon: {linear: {start: 0, stop: 8/255, begin: 0.2, end: 0.8}}
    replays: {steps: {0: 1, 0.5: 2, 0.75: 4}}
    learning_rate: {warm_up: {end: 0.1, then: {cosine: {start: 0.1, stop: 0}}}}
"""

from gratis.schedule.functions import ScheduleLike, cosine, linear, steps, warm_up
from gratis.schedule.shapes import (
    SHAPES,
    Constant,
    Cosine,
    Linear,
    Schedule,
    Scheduled,
    Steps,
    WarmUp,
    parse,
    to_yaml,
    within,
)

__all__ = [
    "SHAPES",
    "Constant",
    "Cosine",
    "Linear",
    "Schedule",
    "ScheduleLike",
    "Scheduled",
    "Steps",
    "WarmUp",
    "cosine",
    "linear",
    "parse",
    "steps",
    "to_yaml",
    "warm_up",
    "within",
]
