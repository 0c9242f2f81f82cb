"""Warp deltas between an image and its views."""

import torch
from torch import Tensor

from gratis.augmentation.augment import lines


def warp(deltas: Tensor, affines: Tensor) -> tuple[Tensor, Tensor]:
    """Warp each image's delta by its own affine map: every pixel takes its nearest neighbour's.

    ``deltas`` are (n, 3, H, W) of any type, and ``affines`` (n, 2, 3) map normalised output to
    input coordinates, as ``affine_grid`` has them with ``align_corners=False``. Returns the warped
    deltas, which are 0 where the map leads outside of the input, and a mask (n, 1, H, W) that is
    true where it does not.
    """
    # Nearest, not bilinear: deltas of free training are plus or minus epsilon nearly everywhere,
    # and the mean of neighbours with different signs would shrink them.
    n, channels, height, width = deltas.shape
    across, down = lines(affines, height, width)
    x, y = (across + down).unbind(1)
    (column, within_width), (row, within_height) = _pixel(x, width), _pixel(y, height)
    seen = (within_width & within_height)[:, None]
    place = row.mul_(width).add_(column).long().view(n, 1, -1)
    # Gathered, because grid_sample takes no integers; in float32 it took four times as long.
    warped = deltas.flatten(2).gather(2, place.expand(-1, channels, -1)).view(deltas.shape)
    # A product, because masked_fill takes ten times as long on a CPU.
    return warped.mul_(seen.to(deltas.dtype)), seen


def inverse(affines: Tensor) -> Tensor:
    """Return the inverse affine maps of ``affines``, both (n, 2, 3); all must be invertible."""
    # Not torch.linalg: this is exact under TF32 and does not wait for the GPU.
    (a, b, x), (c, d, y) = affines.permute(1, 2, 0)
    linear = torch.stack([torch.stack([d, -b]), torch.stack([-c, a])]) / (a * d - b * c)
    offset = -(linear * torch.stack([x, y])).sum(1)
    return torch.cat([linear, offset[:, None]], dim=1).permute(2, 0, 1)


def _pixel(coordinates: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Return the pixel nearest to each normalised coordinate, and whether it contains it."""
    pixel = coordinates.add(1).mul_(length / 2).floor_()
    nearest = pixel.clamp(0, length - 1)
    return nearest, nearest == pixel
