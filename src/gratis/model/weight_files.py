"""Files of weights, read without running any code that they contain."""

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from gratis.errors import file_error, printable
from gratis.model.stored_facts import read_facts

logger = logging.getLogger(__name__)

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
    "save only its tensors, where it was made: torch.save(model.state_dict(), 'weights.pt')"
)


class _Candidate(NamedTuple):
    """A state dict in a file: its dotted key, empty for the whole file, and its tensors."""

    key: str
    state: dict[str, Tensor]


def read_weights(path: Path, network: Callable[[], nn.Module] | None = None) -> dict[str, Tensor]:
    """Return the state dict in a file, which may lie inside a training checkpoint.

    Args:
        path: ``.safetensors``, or tensors saved by torch: a state dict, or a dict that has one
            under a usual key, such as ``state_dict``, ``model`` or ``ema``. If it has several,
            that which fits the network best is taken, and of equal ones the averaged weights.
            Which it is is logged. Of a run's checkpoint, the weights of its classifier, averaged
            where there is an average. A folder stands for the checkpoint of the run in it.
        network: returns the network that the weights are for; called if the file has several
            state dicts. Default: the largest fits best.
    """
    path = weights_file(path)
    content = _content(path)
    found = list(_state_dicts(content))
    if not found:
        raise file_error(path, "holds no state dict of tensors", _SAVE_TENSORS)
    return _of_a_run(found[0].state if len(found) == 1 else _best(found, network, path))


def _best(
    found: list[_Candidate], network: Callable[[], nn.Module] | None, path: Path
) -> dict[str, Tensor]:
    """Return the state dict that fits a network best; of equal ones the first."""
    wanted = {} if network is None else network().state_dict()
    fitting = [_fitting(candidate.state, wanted) for candidate in found]
    sizes = [sum(value.numel() for value in candidate.state.values()) for candidate in found]
    scores = fitting if any(fitting) else sizes
    taken = found[scores.index(max(scores))]
    others = ", ".join(repr(each.key) for each in found if each is not taken)
    text = f"{path}: the weights under {taken.key!r} are used, and not those under {others}"
    logger.info(printable(text))
    return taken.state


def _fitting(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> int:
    """Return how many tensors of a network a state dict has, whatever the prefix of its names."""
    shapes = {
        (name[place:], value.shape)
        for name, value in state.items()
        for place in (0, *(i + 1 for i, letter in enumerate(name) if letter == "."))
    }
    return sum((name, value.shape) in shapes for name, value in wanted.items())


def stored_classes(path: Path) -> tuple[str, ...] | None:
    """Return the names of the classes in the metadata of a file that gratis exported."""
    if path.suffix != ".safetensors":
        return None
    with safe_open(path, "pt") as file:
        facts = read_facts(file.metadata() or {})
    return None if facts is None else facts.classes


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
            path, "holds other objects than tensors and is not loaded", _SAVE_TENSORS
        ) from error


def _state_dicts(content: Any, depth: int = 3, above: str = "") -> Iterator[_Candidate]:
    """Yield the state dicts in what a file holds, the preferred one first."""
    if not isinstance(content, Mapping):
        return
    if depth:
        for key in _WRAPPINGS:
            yield from _state_dicts(content.get(key), depth - 1, f"{above}{key}.")
    tensors = {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if tensors:
        yield _Candidate(above.removesuffix("."), tensors)


def _of_a_run(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the classifier's tensors of a run's checkpoint; another state dict as it is."""
    for prefix in ("average.module.", "model."):
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if any(name.startswith("head.classes.") for name in own):
            return own
    return state
