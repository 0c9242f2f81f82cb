"""Weights from files, read without running any code that they contain."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gratis.errors import file_error

_NUMBERS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a ``.safetensors`` file, or in a file of tensors saved by torch.

    Raises:
        GratisError: the file is missing or damaged, or holds anything but tensors.
    """
    if not path.is_file():
        raise file_error(path, "no such weights file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, EOFError) as error:
        raise file_error(path, "is damaged or not a weights file") from error
    except Exception as error:
        # weights_only raises an UnpicklingError for anything but plain tensors.
        raise file_error(
            path, "holds more than tensors and is not loaded", "save it as safetensors"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        return content
    raise file_error(path, "holds no state dict of tensors")


def load_backbone(backbone: nn.Module, path: Path) -> None:
    """Load the weights at ``path`` into a timm backbone without class layer; theirs is left out.

    Raises:
        GratisError: the file does not fit the backbone.
    """
    state = {k.removeprefix("module."): v for k, v in read_weights(path).items()}
    wanted = backbone.state_dict()
    missing = [k for k in wanted if k not in state and not k.endswith("num_batches_tracked")]
    wrong = [k for k in wanted if k in state and state[k].shape != wanted[k].shape]
    unused = [k for k in state if k not in wanted and _belongs(k, backbone)]
    if misfits := missing + wrong + unused:
        first = misfits[0]
        what = "is missing" if missing else "has no place in it"
        if first in wrong:
            what = f"has shape {tuple(state[first].shape)}"
        raise file_error(
            path,
            f"does not fit this backbone ({len(misfits)} of {len(state)} tensors; {first} {what})",
            "set model.backbone to the one that it was trained with",
        )
    fitting = {k: state[k] for k in wanted if k in state}
    _refuse_odd_values(path, fitting)
    backbone.load_state_dict(fitting, strict=False)


def _refuse_odd_values(path: Path, state: dict[str, Tensor]) -> None:
    """Refuse tensors that are no trained weights, before they are copied into a network."""
    for name, value in state.items():
        plain = value.layout is torch.strided and value.device.type == "cpu"
        if not plain or value.dtype not in _NUMBERS:
            raise file_error(path, f"{name} is not a plain tensor of numbers", "save it as float32")
        if not torch.isfinite(value).all():
            raise file_error(
                path, f"{name} holds NaN or infinity", "use weights from another epoch"
            )


def load_whole(model: nn.Module, path: Path, what: str) -> None:
    """Load the weights at ``path`` into a model with its class layer; ``what`` describes it.

    Raises:
        GratisError: the file does not fit the model.
    """
    state = {k.removeprefix("module."): v for k, v in read_weights(path).items()}
    wanted = {k: v.shape for k, v in model.state_dict().items()}
    given = {k: v.shape for k, v in state.items()}
    misfits = sorted(
        name
        for name in wanted.keys() | given.keys()
        if wanted.get(name) != given.get(name) and not name.endswith("num_batches_tracked")
    )
    if misfits:
        first = misfits[0]
        has, needs = given.get(first), wanted.get(first)
        raise file_error(
            path,
            f"does not fit {what} ({len(misfits)} tensors differ; {first} is "
            f"{_shape(has)} in the file and {_shape(needs)} in the model)",
            "use the model and the data that it was trained with",
        )
    model.load_state_dict({k: v for k, v in state.items() if k in wanted}, strict=False)


def _shape(shape: torch.Size | None) -> str:
    return "missing" if shape is None else "x".join(map(str, shape)) or "a number"


def _belongs(name: str, backbone: nn.Module) -> bool:
    """Return whether a tensor belongs to a part of the backbone other than its class layer.

    A deeper network of the same blocks has such weights that the backbone lacks.
    """
    config: Any = getattr(backbone, "pretrained_cfg", {})
    layers = config.get("classifier") or ()
    class_layers = (layers,) if isinstance(layers, str) else layers
    parts = {part for part, _ in backbone.named_children()}
    inside = name.endswith(".weight") and name.partition(".")[0] in parts
    return inside and not any(name.startswith(f"{layer}.") for layer in class_layers)
