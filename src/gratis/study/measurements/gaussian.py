"""Accuracy under Gaussian noise of several strengths."""

import torch
from torch import Tensor

from gratis.seeds import generator
from gratis.study.measurements.base import MeasuredRun

# Standard deviations in [0, 1] units of pixel value.
_STRENGTHS = (0.02, 0.05, 0.1, 0.2)
NAMES = {
    f"gaussian_{strength:g}": f"accuracy under Gaussian noise of standard deviation {strength:g}"
    for strength in _STRENGTHS
}


def measure(run: MeasuredRun) -> dict[str, float]:
    """Return the accuracy in percent at each strength; the noise is the same for every model."""

    def noisy(strength: float) -> float:
        def change(place: slice, images: Tensor, labels: Tensor) -> Tensor:
            source = generator(images.device, "gaussian", place.start)
            noise = torch.empty_like(images).normal_(0.0, strength, generator=source)
            return (images + noise).clamp(0, 1)

        return run.accuracy(change)

    return {f"gaussian_{strength:g}": noisy(strength) for strength in _STRENGTHS}
