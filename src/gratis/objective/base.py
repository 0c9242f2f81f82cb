"""What an objective is: named, weighted terms of what is minimised."""

from abc import ABC, abstractmethod
from typing import Annotated

from torch import Tensor

from gratis.data import Batch
from gratis.model import Output
from gratis.schedule import Constant, Scheduled, within
from gratis.settings import Settings


class Term(ABC):
    """One part of the objective."""

    views = 1  # how many views of each image it compares
    needs_denoiser = False

    @abstractmethod
    def __call__(self, output: Output, batch: Batch) -> Tensor:
        """Return the mean loss, a scalar, before weighting."""


class TermSettings(Settings):
    """The settings of one kind of term; its ``weight`` may be a schedule."""

    weight: Annotated[Scheduled, within(0)] = Constant(value=1)

    @abstractmethod
    def build(self) -> Term:
        """Return the term."""
