"""Contrastive losses between two views of an image: Siamese, as in the paper, and NT-Xent."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from gratis import ranks
from gratis.data import Batch
from gratis.model import Output
from gratis.objective.base import Term, TermSettings

# Below this squared distance two embeddings count as equal, because the gradient of the square root
# is infinite at 0.
SMALLEST_SQUARE = 1e-12


class ContrastiveSettings(TermSettings):
    """The contrastive term.

    Attributes:
        kind: ``siamese`` is the paper's loss.
        margin: the distance beyond which negatives add nothing to the Siamese loss.
        temperature: of NT-Xent.
    """

    kind: Literal["siamese", "nt_xent"] = "siamese"
    margin: Annotated[float, Field(gt=0, le=2)] = 1.0
    temperature: Annotated[float, Field(gt=0)] = 0.5

    def build(self) -> "Contrastive":
        """Return the term."""
        return Contrastive(self)


class Contrastive(Term):
    """Compares the embeddings of two views."""

    views = 2

    def __init__(self, settings: ContrastiveSettings) -> None:
        """Keep the settings."""
        self._settings = settings

    def __call__(self, output: Output, batch: Batch, clean: Output | None = None) -> Tensor:
        """Return the contrastive loss of the L2-normalised embeddings."""
        # In float32 even in mixed precision: distances are small differences.
        views = functional.normalize(output.embedding.float(), dim=1).chunk(2)
        first, second = (_of_all_ranks(view, batch) for view in views)
        # The caller weights the loss by this rank's share, but this is that of all ranks.
        loss = self._loss(first, second, ranks.gather(batch.labels))
        return loss if batch.total is None else loss / batch.rank_weight

    def _loss(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        if self._settings.kind == "siamese":
            return siamese(first, second, labels, self._settings.margin)
        return nt_xent(first, second, self._settings.temperature)


def _of_all_ranks(rows: Tensor, batch: Batch) -> Tensor:
    """Return the rows of the batch of all ranks; gradients reach this rank's rows.

    Every rank computes the same loss, and its gradient by its own rows. The gradients of the
    weights are averaged over the ranks, so they are scaled by their number here.
    """
    if batch.total is None:
        return rows
    every = ranks.gather(rows)
    scaled = rows.detach() + ranks.world_size() * (rows - rows.detach())
    end = batch.first + len(batch)
    return torch.cat([every[: batch.first], scaled, every[end:]])


def siamese(first: Tensor, second: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Return the contrastive loss of Hadsell et al. (2006, equation 4).

    It is half the mean squared distance of the positives plus half the mean of max(0, margin -
    distance)^2 of the negatives. The positives are the two views of an image, ``first`` and
    ``second``, unit vectors (n, d). The negatives are the first view of an image and the second
    view of the next one in the batch, if their labels differ.
    """
    positive = (first - second).square().sum(dim=1)
    differ = labels != labels.roll(-1)
    squares = (first - second.roll(-1, dims=0)).square().sum(dim=1)
    distance = squares.clamp_min(SMALLEST_SQUARE).sqrt()
    shortfall = (margin - distance).clamp_min(0).square() * differ
    return (positive.mean() + shortfall.sum() / differ.sum().clamp_min(1)) / 2


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the normalised temperature-scaled cross entropy of Chen et al. (2020, equation 1).

    Each of the 2n unit vectors (n, d) is classified: its class is its other view, among the 2n - 1
    other vectors.
    """
    both = torch.cat([first, second])
    similarity = both @ both.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    partners = torch.arange(len(both), device=both.device).roll(len(first))
    return functional.cross_entropy(similarity, partners)
