"""Contrastive losses between two views of an image: Siamese (the paper's) and NT-Xent."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from gratis.data import Batch
from gratis.model import Output
from gratis.objective.base import Term, TermSettings

# Below this squared distance two embeddings count as equal: the root's gradient ends there.
SMALLEST_SQUARE = 1e-12


class ContrastiveSettings(TermSettings):
    """``margin`` is the Siamese loss's, ``temperature`` NT-Xent's."""

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

    def __call__(self, output: Output, batch: Batch) -> Tensor:
        """Return the contrastive loss of the L2-normalised embeddings."""
        # In float32 even under mixed precision: the distances are small differences.
        first, second = functional.normalize(output.embedding.float(), dim=1).chunk(2)
        if self._settings.kind == "siamese":
            return siamese(first, second, batch.labels, self._settings.margin)
        return nt_xent(first, second, self._settings.temperature)


def siamese(first: Tensor, second: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Return the contrastive loss of Hadsell et al. (2006, equation 4).

    Half the mean squared distance of the positives, the two views (n, d) of an image, plus half
    the mean squared shortfall from ``margin`` of the negatives: the first view of an image and
    the second of the next in the batch, where their ``labels`` (n,) differ.
    """
    positive = (first - second).square().sum(dim=1)
    differ = labels != labels.roll(-1)
    apart = (first - second.roll(-1, dims=0)).square().sum(dim=1)
    distance = apart.clamp_min(SMALLEST_SQUARE).sqrt()
    shortfall = (margin - distance).clamp_min(0).square() * differ
    return (positive.mean() + shortfall.sum() / differ.sum().clamp_min(1)) / 2


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the normalised temperature-scaled cross entropy of Chen et al. (2020, equation 1).

    Each of the 2n unit vectors must find its other view among the 2n - 1 others.
    """
    both = torch.cat([first, second])
    similarity = both @ both.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    partners = torch.arange(len(both), device=both.device).roll(len(first))
    return functional.cross_entropy(similarity, partners)
