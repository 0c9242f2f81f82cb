"""What the type checker accepts and refuses of the public API. mypy reads it; nothing runs it."""

from typing import assert_type

import gratis
from gratis.schedule import ScheduleLike, linear, warm_up


def numbers_are_accepted_where_schedules_are() -> None:
    gratis.FreeAT(replays=4, epsilon=0.03, gamma=gratis.steps({0: 1, 0.5: 0.5}))
    gratis.PGDAT(epsilon=gratis.cosine(0, 0.1), steps=2)
    gratis.NFGSM(epsilon=1)
    gratis.warm_up(0.1, 3.0)


def results_have_types() -> None:
    gratis.train("free", budget="2m", overrides=["train.epochs=1"])
    assert_type(gratis.evaluate("run", epsilon="8/255").clean, float)


epsilon: ScheduleLike = 0.5
replays: ScheduleLike = 4
schedule: ScheduleLike = linear(0, 1, end=0.6)
rate = warm_up(0.1, 3)
# An ignored error that is none is an error.
wrong: ScheduleLike = "growing"  # type: ignore[assignment]
