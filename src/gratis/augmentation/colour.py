"""Brightness, contrast, saturation and hue as one linear map of the colours of an image."""

from functools import cache, partial

import torch
from torch import Tensor

# Rows Y, I and Q: Rec. 601 luma and NTSC chroma. The chroma rows sum to 0, so that grey has none.
YIQ = (
    (0.299, 0.587, 0.114),
    (0.5959, -0.2746, -0.3213),
    (0.2115, -0.5227, 0.3112),
)


def mean_grey(images: Tensor) -> Tensor:
    """Return the mean luma (n,) of images (n, 3, H, W)."""
    _, luma = _constants(images.device, images.dtype)
    return images.mean((2, 3)) @ luma


def colour_maps(
    grey: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor
) -> tuple[Tensor, Tensor]:
    """Return linear maps (n, 3, 3) and offsets (n, 1, 1) for :func:`map_colours`.

    They make the four changes in order of the arguments, which are (n,). Brightness multiplies.
    Contrast blends with ``grey``, the mean luma of the image, saturation with the grey of each
    pixel; a factor of 1 changes nothing, and one of 0 leaves only the grey. Grey is Rec. 601 luma,
    as in torchvision. Hue rotates the chroma plane of YIQ, in turns. Nothing is clipped.
    """
    basis, _ = _constants(grey.device, grey.dtype)
    gain, angle = brightness * contrast, 2 * torch.pi * hue
    chroma = gain * saturation
    weights = torch.stack([gain, chroma * angle.cos(), chroma * angle.sin()], dim=1)
    # Saturation and hue do not change grey, so that contrast adds the same to all channels.
    offset = brightness * (1 - contrast) * grey
    return (weights @ basis).view(-1, 3, 3), offset[:, None, None]


def map_colours(images: Tensor, linear: Tensor, offset: Tensor) -> Tensor:
    """Apply to each image (n, 3, H, W) its map (n, 3, 3) and its offset (n, 1, 1).

    Returns:
        (n, 3, H, W), contiguous.
    """
    if images.device.type == "cpu":
        # Channels last is the transpose, which bmm takes directly, but four times as slowly on a
        # CPU, with the same result.
        images = images.contiguous()
    return torch.bmm(linear, images.flatten(2)).add_(offset).view(images.shape)


@cache
def _constants(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the basis of all maps, (3, 9), and the luma row, (3,).

    The basis maps keep the luma, keep the chroma, and rotate the chroma by a quarter turn.
    """
    exact = partial(torch.tensor, dtype=torch.float64, device="cpu")
    to_yiq = exact(YIQ)
    from_yiq = torch.linalg.inv(to_yiq)
    luma = torch.diag(exact([1.0, 0.0, 0.0]))
    quarter = exact([[0, 0, 0], [0, 0, -1], [0, 1, 0]])
    parts = [luma, torch.diag(exact([0.0, 1.0, 1.0])), quarter]
    basis = torch.stack([(from_yiq @ part @ to_yiq).flatten() for part in parts])
    return basis.to(device, dtype), to_yiq[0].to(device, dtype)
