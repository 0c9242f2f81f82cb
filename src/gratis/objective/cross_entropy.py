"""Cross entropy over all views."""

from typing import Annotated, Literal

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
        views: ``perturbed``, or ``clean`` for the unperturbed views, as in TRADES; they cost a
            pass.
    """

    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    views: Literal["perturbed", "clean"] = "perturbed"

    def build(self) -> "CrossEntropy":
        """Return the term."""
        return CrossEntropy(self)


class CrossEntropy(Term):
    """Cross entropy, where every view of an image has the image's label."""

    def __init__(self, settings: CrossEntropySettings) -> None:
        """Keep the settings."""
        self._smoothing = settings.smoothing
        self.needs_clean = settings.views == "clean"

    def __call__(self, output: Output, batch: Batch, clean: Output | None = None) -> Tensor:
        """Return the mean cross entropy of the logits."""
        if self.needs_clean:
            assert clean is not None
            output = clean
        return functional.cross_entropy(
            output.logits, batch.view_labels, label_smoothing=self._smoothing
        )
