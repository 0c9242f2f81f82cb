"""Interpolation between two models: weighted averages of their weights."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from gratis.data import Dataset, to_float
from gratis.data.held_out import Indices
from gratis.evaluation.measure import evenly_spaced

# Training images for the statistics of batch norm, and how many at a time.
_IMAGES, _BATCH = 1000, 100


def interpolate(
    natural: Mapping[str, Tensor], hardened: Mapping[str, Tensor], alpha: float
) -> dict[str, Tensor]:
    """Return ``(1 - alpha) * natural + alpha * hardened``, for two state dicts of one network.

    The ends are exact. Integers are those of ``hardened``.
    """
    if alpha in (0, 1):
        return dict(natural if alpha == 0 else hardened)
    return {
        name: torch.lerp(natural[name], tensor, alpha) if tensor.is_floating_point() else tensor
        for name, tensor in hardened.items()
    }


def estimate_statistics(model: nn.Module, dataset: Dataset, training: Indices) -> None:
    """Estimate the statistics of batch norm anew, on natural training images.

    The statistics of an interpolated model are not on the line between those of its ends. A model
    without batch norm stays as it is.
    """
    device = next(model.parameters()).device
    chosen = training[evenly_spaced(len(training), _IMAGES)]

    def batches() -> Iterator[Tensor]:
        # The last batch is left out if it is a single image, which has no variance.
        for start in range(0, len(chosen) - 1, _BATCH):
            yield to_float(dataset.train.images[chosen[start : start + _BATCH]], device)

    update_bn(batches(), model)
