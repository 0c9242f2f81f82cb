"""The reconstruction error of the denoiser."""

from typing import Literal

from torch import Tensor
from torch.nn import functional

from gratis.data import Batch
from gratis.model import Output
from gratis.objective.base import Term, TermSettings


class ReconstructionSettings(TermSettings):
    """The reconstruction term.

    Attributes:
        target: what the denoiser is trained to output: the ``image`` before augmentation, as in
            the paper, or the ``view`` before the attack.
    """

    target: Literal["image", "view"] = "image"

    def build(self) -> "Reconstruction":
        """Return the term."""
        return Reconstruction(self)


class Reconstruction(Term):
    """Trains the denoiser."""

    needs_denoiser = True

    def __init__(self, settings: ReconstructionSettings) -> None:
        """Keep the settings."""
        self._target = settings.target

    def __call__(self, output: Output, batch: Batch, clean: Output | None = None) -> Tensor:
        """Return the mean squared error per pixel and channel."""
        if output.denoised is None:
            raise ValueError("the model has no denoiser to train")
        if self._target == "view":
            return functional.mse_loss(output.denoised, batch.views)
        return functional.mse_loss(output.denoised, batch.images.repeat(batch.view_count, 1, 1, 1))
