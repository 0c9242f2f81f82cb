"""From stored pixels to what a model takes."""

import numpy as np
import torch
from numpy.typing import NDArray


def to_tensor(images: NDArray[np.uint8], device: torch.device | str) -> torch.Tensor:
    """Return uint8 images (n, height, width, 3) as float32 (n, 3, height, width) in [0, 1].

    The pixels keep their order in memory, so the result is channels-last.
    """
    pixels = torch.from_numpy(np.array(images)).to(device)
    return pixels.permute(0, 3, 1, 2).float() / 255
