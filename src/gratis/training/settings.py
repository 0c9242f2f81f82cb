"""The settings of training that do not depend on adversary or objective."""

from typing import Annotated, Literal

from pydantic import Field

from gratis.schedule import Constant, Scheduled, within
from gratis.settings import Settings
from gratis.training.time_budget import Duration


class TrainSettings(Settings):
    """How long, how fast and with which optimizer.

    Attributes:
        epochs: passes / training images. This measures compute, not traversals of the data, so
            that all rows cost the same.
        min_passes: the least number of passes. With few images, ``epochs`` is raised to it when
            training begins. A given ``train.epochs`` removes it.
        budget: the wall time that training takes, in seconds or as 20m. The number of epochs then
            follows from the pace of the run, and ``epochs`` is not used.
        epoch_unit: what ``epochs`` counts. With ``images`` every image counts as one pass,
            whatever it costs, as in the reference rows.
        batch_size: the most images in a batch.
        optimizer: ``sgd`` with Nesterov momentum, or ``adamw``.
        learning_rate: may be a schedule.
        momentum: of ``sgd``.
        weight_decay: the factor of weight decay.
        decay_norms_and_biases: whether weight decay applies to them too.
        ema_decay: the decay of the running average of the weights, which is evaluated in their
            place. It is lower early on, see :class:`gratis.training.ema.WeightAverage`.
        precision: ``auto`` chooses the fastest for the device when training begins.
        compile: whether torch compiles the network for training.
        held_out_per_class: training images of each class that only the overfitting monitor uses.
        monitor_every_epochs: epochs between two runs of the overfitting monitor.
        on_divergence: what happens when the loss explodes or is no longer finite. ``rollback``
            follows the rule of :mod:`gratis.training.divergence`.
        on_overfitting: what happens when the monitor finds catastrophic overfitting.
        log_every_steps: steps between two lines of the log.
        checkpoint_every_minutes: minutes between two checkpoints, at most.
    """

    epochs: Annotated[float, Field(gt=0)] = 20
    min_passes: Annotated[float, Field(gt=0)] | None = None
    budget: Duration | None = None
    epoch_unit: Literal["passes", "images"] = "passes"
    batch_size: Annotated[int, Field(ge=2)] = 128
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Annotated[Scheduled, within(0)] = Constant(value=0.01)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    decay_norms_and_biases: bool = True
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Literal["32-true", "bf16-mixed", "auto"] = "32-true"
    compile: bool = False
    held_out_per_class: Annotated[int, Field(ge=0)] = 5
    monitor_every_epochs: Annotated[float, Field(gt=0)] = 1
    on_divergence: Literal["stop", "rollback"] = "rollback"
    on_overfitting: Literal["warn", "stop", "rollback"] = "warn"
    log_every_steps: Annotated[int, Field(ge=1)] = 20
    checkpoint_every_minutes: Annotated[float, Field(gt=0)] = 5
