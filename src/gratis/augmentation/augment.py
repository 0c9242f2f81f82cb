"""Random views of a batch: one colour map and one affine map per image, on its device."""

import math
from collections.abc import Iterator
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from gratis.augmentation.colour import colour_maps, map_colours, mean_grey
from gratis.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

# Uniform draws per view: four for colours, eight for geometry.
COLOURS, GEOMETRY = 4, 8

# Pixels of one channel that a CPU processes at once. A small piece lets the allocator reuse memory,
# which would otherwise take half of the time; a large one starts fewer operations.
PIECE = 1 << 17


class AugmentSettings(Settings):
    """The ranges of random views; every value is drawn uniformly.

    Attributes:
        rotation: the largest angle in either direction, in degrees.
        scale: (low, high), the factor on the size of the content.
        shift: the largest shift in either direction and along each side, as a share of the side.
        crop: the smallest side of the random window that is kept, as a share of the side; 1 keeps
            everything.
        flip: the probability of mirroring left to right.
        hue: the largest hue rotation in either direction, in turns of the colour wheel.
        saturation: the factor is drawn from [1 - saturation, 1 + saturation].
        brightness: the factor is drawn from [1 - brightness, 1 + brightness].
        contrast: the factor is drawn from [1 - contrast, 1 + contrast].
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 15.0
    scale: tuple[Positive, Positive] = (0.9, 1.1)
    shift: Share = 0.1
    crop: Annotated[float, Field(gt=0, le=1)] = 0.8
    flip: Share = 0.5
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    saturation: Share = 0.3
    brightness: Share = 0.3
    contrast: Share = 0.3

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.scale
        if low > high:
            raise ValueError(f"scale must be (low, high), not ({low:g}, {high:g})")
        return self

    @property
    def moves(self) -> bool:
        """Whether views may differ from their image in geometry."""
        identity = (0, (1, 1), 0, 1, 0)
        return (self.rotation, self.scale, self.shift, self.crop, self.flip) != identity

    @property
    def recolours(self) -> bool:
        """Whether views may differ from their image in colour."""
        return any((self.hue, self.saturation, self.brightness, self.contrast))


class Augment:
    """Makes random views: colours change first, then the image is resampled once.

    Every view of every image has its own draws. Resampling is bilinear, and black outside the
    image, as in the geometric validation sets.
    """

    def __init__(self, settings: AugmentSettings) -> None:
        """Keep the ranges."""
        self.settings = settings

    def __call__(
        self,
        images: Tensor,
        generator: torch.Generator,
        views: int = 1,
        *,
        first: int = 0,
        total: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return views and the affine maps that made them.

        Args:
            images: (n, 3, H, W) in [0, 1].
            generator: the source of all draws, on the images' device.
            views: the number of views of each image.
            first: the position of the first image in a larger batch, whose draws it gets.
            total: the number of images in that batch. Default: n.

        Returns:
            The views, (views * n, 3, H, W) in [0, 1] and in the images' memory format; row
            k * n + i is view k of image i. With settings that change nothing they equal the
            images bit for bit. The affine maps, (views * n, 2, 3), from normalised coordinates of a
            view to those of its image, as in ``affine_grid`` with ``align_corners=False``.
        """
        n, _, height, width = images.shape
        total = n if total is None else total
        draws = torch.rand(
            (COLOURS + GEOMETRY, views, total),
            generator=generator,
            device=images.device,
            dtype=images.dtype,
        )
        draws = draws[:, :, first : first + n].flatten(1)
        affines = self._affines(draws[COLOURS:], height, width)
        made = torch.empty(
            (views * n, *images.shape[1:]),
            device=images.device,
            dtype=images.dtype,
            memory_format=_layout(images),
        )
        # Autocast would multiply colours in half precision.
        with torch.autocast(images.device.type, enabled=False):
            self._make(images, draws[:COLOURS], affines, made)
        return made, affines

    def _make(self, images: Tensor, draws: Tensor, affines: Tensor, made: Tensor) -> None:
        """Write the views into ``made``, one piece at a time."""
        colours = self._colours(images, draws) if self.settings.recolours else None
        grid = lines(affines, *images.shape[2:]) if self.settings.moves else None
        for source, target in _pieces(images, len(made)):
            piece = images[source]
            if colours is not None:
                piece = map_colours(piece, *(part[target] for part in colours)).clamp_(0, 1)
            if grid is not None:
                piece = _sample(piece, *(line[target] for line in grid))
            made[target] = piece

    def _colours(self, images: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Return the colour map of every view, (n, 3, 3) and (n, 1, 1), from draws (4, n)."""
        settings = self.settings
        brightness, contrast, saturation, hue = 2 * draws - 1
        return colour_maps(
            mean_grey(images).repeat(draws.shape[1] // max(len(images), 1)),
            brightness=1 + settings.brightness * brightness,
            contrast=1 + settings.contrast * contrast,
            saturation=1 + settings.saturation * saturation,
            hue=settings.hue * hue,
        )

    def _affines(self, draws: Tensor, height: int, width: int) -> Tensor:
        """Return the affine maps from view to image, (n, 2, 3), from uniform draws (8, n).

        From image to view, a window is cropped, mirrored, rotated, scaled and shifted. Resampling
        needs the inverse.
        """
        settings = self.settings
        angle = (2 * draws[0] - 1) * math.radians(settings.rotation)
        scale = settings.scale[0] + (settings.scale[1] - settings.scale[0]) * draws[1]
        shift = 2 * settings.shift * (2 * draws[2:4] - 1)
        kept = 1 - (1 - settings.crop) * draws[4]
        # Windows end at the outermost pixel centres: beyond, black would bleed into their edges.
        across, down = (1 - kept) * (2 * draws[5:7] - 1)
        centre = torch.stack([across * (1 - 1 / width), down * (1 - 1 / height)])
        mirror = torch.where(draws[7] < settings.flip, -1.0, 1.0)

        cos, sin = kept / scale * angle.cos(), kept / scale * angle.sin()
        # Coordinates run from -1 to 1 along both sides, of any length.
        sin_across, sin_down = sin * height / width, sin * width / height
        linear = torch.stack(
            [torch.stack([mirror * cos, -mirror * sin_across]), torch.stack([sin_down, cos])]
        )
        moved = centre - (linear * shift).sum(1)
        return torch.cat([linear, moved[:, None]], dim=1).permute(2, 0, 1).contiguous()


def lines(affines: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the two terms of every view's grid, (n, 2, 1, width) and (n, 2, height, 1)."""
    across = affines[:, :, :1] * _centres(width, affines) + affines[:, :, 2:]
    down = affines[:, :, 1:2] * _centres(height, affines)
    return across[:, :, None, :], down[:, :, :, None]


def _sample(images: Tensor, across: Tensor, down: Tensor) -> Tensor:
    # Sums instead of affine_grid's matrix product: exact under autocast and TF32, less memory.
    grid = (down + across).permute(0, 2, 3, 1)
    # The four weights of a pixel may exceed 1 in sum by a rounding error.
    return functional.grid_sample(images, grid, align_corners=False).clamp_(0, 1)


def _pieces(images: Tensor, rows: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of the images, each with the slice of the ``rows`` views made of it."""
    n, _, height, width = images.shape
    # On a CUDA device more pieces are only more kernels to start.
    step = max(PIECE // (height * width), 1) if images.device.type == "cpu" else n
    for first in range(0, rows, max(n, 1)):
        for begin in range(0, n, step):
            end = min(begin + step, n)
            yield slice(begin, end), slice(first + begin, first + end)


def _centres(length: int, like: Tensor) -> Tensor:
    """Return the pixel centres along a side that runs from -1 to 1, (length,)."""
    return (2 * torch.arange(length, device=like.device, dtype=like.dtype) + 1) / length - 1


def _layout(images: Tensor) -> torch.memory_format:
    if images.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format
