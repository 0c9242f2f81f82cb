"""The interface of the terms of an objective."""

from abc import ABC, abstractmethod
from typing import Annotated

from torch import Tensor

from gratis.data import Batch
from gratis.model import Output
from gratis.schedule import Constant, Scheduled, within
from gratis.settings import Settings


class Term(ABC):
    """One loss of the objective.

    Attributes:
        views: the number of views of each image that it compares.
        needs_denoiser: whether it trains the model's denoiser.
    """

    views = 1
    needs_denoiser = False

    @abstractmethod
    def __call__(self, output: Output, batch: Batch) -> Tensor:
        """Return the mean loss, a scalar, before weighting."""


class TermSettings(Settings):
    """The settings of one kind of term.

    Attributes:
        weight: the factor of the loss; may be a schedule.
    """

    weight: Annotated[Scheduled, within(0)] = Constant(value=1)

    @abstractmethod
    def build(self) -> Term:
        """Return the term."""
