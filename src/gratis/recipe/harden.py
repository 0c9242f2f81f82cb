"""The part of a recipe that only hardening has."""

from typing import Annotated

from pydantic import Field

from gratis.settings import Line, Settings
from gratis.training import TrainSettings


class HardenSettings(Settings):
    """What a run of ``gratis harden`` starts from, and which of its models is chosen.

    Attributes:
        digest: the SHA-256 of the weights that the run starts from.
        natural_training: how the model is trained naturally first. ``None``: not at all, because
            its class layer fits the data.
        keep_clean: the most points of held-out clean accuracy that the chosen model may lose
            against the natural one. Default: the model with the highest expected accuracy is
            chosen.
    """

    digest: Line = ""
    natural_training: TrainSettings | None = None
    keep_clean: Annotated[float, Field(ge=0, le=100)] | None = None
