"""Common corruptions at five severities, by kornia.

The kinds and most strengths are those of CIFAR-10-C (Hendrycks and Dietterich 2019) that kornia
has. Its definitions differ, so the accuracies are not comparable with published ones.
"""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from gratis.evaluation.evaluated_model import EvaluatedModel, Outcome
from gratis.evaluation.tasks import EvalTask, optional_library
from gratis.seeds import generator

Kind = Literal[
    "gaussian_noise",
    "impulse_noise",
    "gaussian_blur",
    "motion_blur",
    "brightness",
    "contrast",
    "saturation",
    "jpeg",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
SEVERITIES = range(1, 6)

# By severity. Noise: standard deviation, share of the values. Blur: standard deviation and length
# in pixels of a 32-pixel side. Brightness: added value. Contrast and saturation: factor. JPEG:
# quality.
STRENGTHS: dict[Kind, tuple[float, ...]] = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
    "gaussian_blur": (0.4, 0.6, 0.7, 0.8, 1.0),
    "motion_blur": (1.5, 2.5, 3.5, 4.5, 5.5),
    "brightness": (0.05, 0.10, 0.15, 0.20, 0.30),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "saturation": (0.5, 0.3, 0.1, 2.0, 5.0),
    "jpeg": (80, 65, 58, 50, 40),
}
_SIDE = 32


class Corruption(EvalTask):
    """Classification of corrupted images; random corruptions are keyed by seed and image."""

    package: ClassVar[str | None] = "kornia"

    kind: Kind
    severity: Annotated[int, Field(ge=1, le=5)]

    @property
    def cost(self) -> float:
        """One pass."""
        return 1

    def run(self, evaluated: EvaluatedModel, index: NDArray[np.int64]) -> Outcome:
        """Corrupt and classify."""
        batch = evaluated.batch_at(index)
        keys = (evaluated.seed, "corruption", self.kind)
        shape = batch.images.shape[1:] if self.kind.endswith("noise") else (1,)
        # Drawn on the CPU, one image at a time: the same on every device and in every batch.
        draws = [
            torch.rand(shape, generator=generator("cpu", *keys, i), device="cpu")
            for i in index.tolist()
        ]
        images = corrupt(self.kind, self.severity, batch.images, torch.stack(draws))
        return Outcome(evaluated.is_correct(images, batch.labels).cpu().numpy())


def corrupt(kind: Kind, severity: int, images: Tensor, draws: Tensor) -> Tensor:
    """Return images (n, 3, H, W) under a corruption of severity 1 to 5, clipped to [0, 1].

    ``kind`` is one of :data:`KINDS`. ``draws`` are uniform in [0, 1): (n, 3, H, W) for noise, (n,
    1) for the other kinds.
    """
    strength = STRENGTHS[kind][severity - 1]
    corrupted = _CORRUPT[kind](images, strength, draws.to(images))
    return corrupted.clamp(0, 1).contiguous(memory_format=torch.channels_last)


def _gaussian_noise(images: Tensor, strength: float, draws: Tensor) -> Tensor:
    # The quantile function of the normal distribution, clamped because it is infinite at 0.
    normal: Tensor = torch.special.ndtri(draws.clamp(min=1e-7))
    return images + strength * normal


def _impulse_noise(images: Tensor, strength: float, draws: Tensor) -> Tensor:
    salted = torch.where(draws > 1 - strength / 2, 1.0, images)
    peppered: Tensor = torch.where(draws < strength / 2, 0.0, salted)
    return peppered


def _gaussian_blur(images: Tensor, strength: float, draws: Tensor) -> Tensor:
    sigma = strength * images.shape[-1] / _SIDE
    size = 2 * max(1, round(3 * sigma)) + 1
    blurred: Tensor = optional_library("kornia").filters.gaussian_blur2d(
        images, size, (sigma, sigma), border_type="replicate"
    )
    return blurred


def _motion_blur(images: Tensor, strength: float, draws: Tensor) -> Tensor:
    size = 2 * max(1, round(strength * images.shape[-1] / _SIDE / 2)) + 1
    angles = 180 * draws[:, 0]
    blurred: Tensor = optional_library("kornia").filters.motion_blur(
        images, size, angles, torch.zeros_like(angles), border_type="replicate", mode="bilinear"
    )
    return blurred


def _enhanced(name: str) -> Callable[[Tensor, float, Tensor], Tensor]:
    def enhance(images: Tensor, strength: float, draws: Tensor) -> Tensor:
        enhanced: Tensor = getattr(optional_library("kornia").enhance, name)(
            images, float(strength)
        )
        return enhanced

    return enhance


def _jpeg(images: Tensor, strength: float, draws: Tensor) -> Tensor:
    quality = torch.full((len(images),), float(strength), device=images.device)
    coded: Tensor = optional_library("kornia").enhance.jpeg_codec_differentiable(images, quality)
    return coded


_CORRUPT: dict[Kind, Callable[[Tensor, float, Tensor], Tensor]] = {
    "gaussian_noise": _gaussian_noise,
    "impulse_noise": _impulse_noise,
    "gaussian_blur": _gaussian_blur,
    "motion_blur": _motion_blur,
    "brightness": _enhanced("adjust_brightness"),
    "contrast": _enhanced("adjust_contrast"),
    "saturation": _enhanced("adjust_saturation"),
    "jpeg": _jpeg,
}
