"""Files of weights, read without running any code that they contain."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gratis.errors import file_error

# The checkpoint of a run.
CHECKPOINT = "checkpoint.safetensors"
# The chosen model of a hardened run.
CHOSEN = "chosen.safetensors"
# The weights of a shared model, and of a model in timm's format.
SHARED = "model.safetensors"
# Where training scripts keep a state dict inside their checkpoints: averaged weights first.
_WRAPPINGS = (
    "state_dict_ema",
    "model_ema",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "module",
    "weights",
)
_SAVE_TENSORS = (
    "save its tensors alone, where it was made: torch.save(model.state_dict(), 'weights.pt')"
)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file, which may lie inside a training checkpoint.

    Args:
        path: ``.safetensors``, or tensors saved by torch: a state dict, or a dict that has one
            under a usual key, such as ``state_dict``, ``model`` or ``ema``. If it has several, the
            averaged weights count. Of a run's checkpoint, the weights of its classifier, averaged
            where there is an average. A folder stands for the checkpoint of the run in it.
    """
    path = weights_file(path)
    content = _content(path)
    for candidate in _state_dicts(content):
        return _of_a_run(candidate)
    raise file_error(path, "holds no state dict of tensors", _SAVE_TENSORS)


def weights_file(path: Path) -> Path:
    """Return the file of weights at ``path``: of a folder, the chosen model or the checkpoint."""
    file = path
    if path.is_dir():
        names = (name for name in (CHOSEN, CHECKPOINT, SHARED) if (path / name).is_file())
        file = path / next(names, CHECKPOINT)
    if not file.is_file():
        raise file_error(file, "no such weights file")
    return file


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, EOFError) as error:
        if "TorchScript" in str(error):
            remedy = "save torch.jit.load(FILE).state_dict() with torch.save"
            raise file_error(path, "is a TorchScript archive", remedy) from error
        raise file_error(path, "is damaged or not a weights file") from error
    except Exception as error:
        # weights_only raises an UnpicklingError for anything but plain tensors.
        raise file_error(
            path, "holds more than tensors and is not loaded", _SAVE_TENSORS
        ) from error


def _state_dicts(content: Any, depth: int = 3) -> Iterator[dict[str, Tensor]]:
    """Yield the state dicts in what a file holds, the preferred one first."""
    if not isinstance(content, Mapping):
        return
    if depth:
        for key in _WRAPPINGS:
            yield from _state_dicts(content.get(key), depth - 1)
    tensors = {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if tensors:
        yield tensors


def _of_a_run(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the classifier's tensors of a run's checkpoint; another state dict as it is."""
    for prefix in ("average.module.", "model."):
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if any(name.startswith("head.classes.") for name in own):
            return own
    return state
