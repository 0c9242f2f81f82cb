"""Cross entropy over all views."""

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from gratis.data import Batch
from gratis.model import Output
from gratis.objective.base import Term, TermSettings


class CrossEntropySettings(TermSettings):
    """The cross entropy term.

    Attributes:
        smoothing: the share of the target that is spread evenly over all classes.
    """

    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def build(self) -> "CrossEntropy":
        """Return the term."""
        return CrossEntropy(self)


class CrossEntropy(Term):
    """Cross entropy, where every view of an image has the image's label."""

    def __init__(self, settings: CrossEntropySettings) -> None:
        """Keep the settings."""
        self._smoothing = settings.smoothing

    def __call__(self, output: Output, batch: Batch) -> Tensor:
        """Return the mean cross entropy of the logits."""
        return functional.cross_entropy(
            output.logits, batch.view_labels, label_smoothing=self._smoothing
        )
