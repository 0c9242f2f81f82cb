"""The settings of training that do not depend on adversary or objective."""

from typing import Annotated, Literal

from pydantic import Field

from gratis.schedule import Constant, Scheduled, within
from gratis.settings import Settings
from gratis.training.budget import Duration


class TrainSettings(Settings):
    """How long, how fast and with which optimizer.

    ``epochs`` is passes / training images: the compute, not a traversal of the data, so that all
    rows cost the same. With ``count: images`` every image counts as one pass whatever it costs:
    the reference rows. ``decay_all`` lets weight decay pull at norms and biases too.
    ``average`` is the decay of the weights' running average, evaluated in their place; early on
    it is lower (:class:`gratis.training.ema.Average`). ``precision: auto`` is chosen when a run
    begins, by what its device is quick at; ``compile`` runs the network compiled by torch in
    training. ``budget`` is the wall-clock time that training may take: ``epochs`` are then chosen
    when it begins, and the rest is shortened where the machine turns out slower. ``held_out``
    images a class leave training for the overfitting monitor, which looks at them every
    ``monitor_every`` epochs; ``on_overfitting`` says what happens when it finds catastrophic
    overfitting, ``on_divergence`` what happens when the loss explodes or is no longer finite. A
    rollback follows the rule of :mod:`gratis.training.divergence`.
    """

    epochs: Annotated[float, Field(gt=0)] = 20
    budget: Duration | None = None
    count: Literal["passes", "images"] = "passes"
    batch_size: Annotated[int, Field(ge=2)] = 128
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Annotated[Scheduled, within(0)] = Constant(value=0.01)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    decay_all: bool = True
    average: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Literal["32-true", "bf16-mixed", "auto"] = "32-true"
    compile: bool = False
    held_out: Annotated[int, Field(ge=0)] = 5
    monitor_every: Annotated[float, Field(gt=0)] = 1
    on_divergence: Literal["stop", "rollback"] = "rollback"
    on_overfitting: Literal["warn", "stop", "rollback"] = "warn"
    log_every: Annotated[int, Field(ge=1)] = 20
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5
