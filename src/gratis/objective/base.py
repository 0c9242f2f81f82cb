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
        needs_clean: whether it needs the output for the unperturbed views, which costs a pass.
    """

    views = 1
    needs_denoiser = False
    needs_clean = False

    @abstractmethod
    def __call__(self, output: Output, batch: Batch, clean: Output | None = None) -> Tensor:
        """Return the mean loss, a scalar, before weighting.

        Args:
            output: of the perturbed views.
            batch: the images and their views.
            clean: the output for the unperturbed views, where a term needs it.
        """


class TermSettings(Settings):
    """The settings of one kind of term.

    Attributes:
        weight: the factor of the loss; may be a schedule.
    """

    weight: Annotated[Scheduled, within(0)] = Constant(value=1)

    @abstractmethod
    def build(self) -> Term:
        """Return the term."""
