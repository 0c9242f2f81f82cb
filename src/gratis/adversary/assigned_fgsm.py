"""FGSM whose delta is that of the same image, or of another one: is a delta specific to its image?

Free training adds to a batch the delta of other images. This adversary separates what that costs.
Two passes a replay: one for the perturbation, one for the weights.
"""

from functools import partial
from typing import Annotated, Literal, TypeAlias

import torch
from torch import Tensor

from gratis import ranks
from gratis.adversary.base import Adversary, AdversarySettings, Model
from gratis.attacks import frozen_statistics, input_gradient
from gratis.data import Batch
from gratis.errors import GratisError
from gratis.model import classify_with
from gratis.schedule import Constant, Scheduled, ScheduleLike, within
from gratis.settings import validate

Source: TypeAlias = Literal["same", "same_class", "other_class", "universal"]


class AssignedFGSMSettings(AdversarySettings):
    """FGSM from the images, with deltas that are assigned within the batch.

    Attributes:
        epsilon: the L-infinity norm of delta, in [0, 1] units of pixel value. In a recipe, the
            default is ``evaluate.epsilon``.
        source: whose delta an image gets: its own (``same``), that of another image of its class
            or of another class, or one for the whole batch (``universal``). An image without
            such a partner in the batch keeps its own.
    """

    epsilon: Annotated[Scheduled, within(0, 1)] = Constant(value=8 / 255)
    source: Source = "same"

    def build(self, seed: int) -> "AssignedFGSM":
        """Return the adversary; it draws no random numbers, so ``seed`` has no effect."""
        return AssignedFGSM(**dict(self))


class AssignedFGSM(Adversary):
    """Trains on images plus the FGSM delta of an assigned image."""

    def __init__(self, *, epsilon: ScheduleLike = 8 / 255, source: Source = "same") -> None:
        """Take the fields of :class:`AssignedFGSMSettings`.

        Raises:
            GratisError: a value is out of range.
        """
        given = {"epsilon": epsilon, "source": source}
        self.settings = validate(AssignedFGSMSettings, given, "AssignedFGSM")

    def passes(self) -> int:
        """Return 2: one pass for the step, one for the training."""
        return 2

    def perturb(self, model: Model, batch: Batch, t: float, micro_batches: int = 1) -> Tensor:
        """Return the views plus the assigned deltas, clipped to [0, 1]."""
        if ranks.world_size() > 1:
            raise GratisError("assigned_fgsm: pairs the images of a whole batch; use one device")
        with frozen_statistics(model):
            classify = classify_with(model)
            gradient = batch.in_micro_batches(
                micro_batches, partial(input_gradient, classify), batch.views
            )
        source = self.settings.source
        if source == "universal":
            assigned = gradient.mean(dim=0, keepdim=True)
        else:
            assigned = gradient[assigned_rows(batch.view_labels, source)]
        return (batch.views + self.settings.epsilon(t) * torch.sign(assigned)).clamp(0, 1)

    def describe(self, t: float) -> dict[str, float]:
        """Return epsilon at ``t``."""
        return {"epsilon": self.settings.epsilon(t)}


def assigned_rows(labels: Tensor, source: Source) -> Tensor:
    """Return for every row the row whose delta it gets, int64 (n,): a permutation of the rows.

    ``same`` is the row itself; ``same_class`` the next row of its class; ``other_class`` a row of
    another class, unless one class has over half of the rows.
    """
    rows = torch.arange(len(labels), device=labels.device)
    if source == "same":
        return rows
    order = torch.argsort(labels, stable=True)
    counts = torch.bincount(labels)
    if source == "other_class":
        # In the order of classes, as many rows further as the largest class has.
        partners = order.roll(-int(counts.max()))
    else:
        ends = counts.cumsum(0)[labels[order]] - 1
        starts = ends + 1 - counts[labels[order]]
        following = rows + 1
        partners = order[torch.where(following > ends, starts, following)]
    assigned = torch.empty_like(rows)
    assigned[order] = partners
    if source == "other_class":
        alike = labels[assigned] == labels
        assigned = torch.where(alike, rows, assigned)
    return assigned
