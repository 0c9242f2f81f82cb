"""Checkpoints: everything that the rest of a run depends on, in one safetensors file.

Random draws are keyed by the position in the run, so that no random state is saved except the
adversary's own.
"""

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from gratis import ranks
from gratis.adversary import Adversary
from gratis.errors import file_error, quoted
from gratis.renames import present_path
from gratis.training import checkpoint_file
from gratis.training.checkpoint_file import exists as exists
from gratis.training.divergence import Divergence
from gratis.training.identity import RunIdentity, differences
from gratis.training.position import Position, from_json, to_json, unknown_event
from gratis.training.step import TrainState

FORMAT = "3"
_IDENTITY = TypeAdapter(dict[str, str])


def save(
    path: Path,
    train_state: TrainState,
    position: Position,
    metrics: dict[str, Tensor],
    identity: RunIdentity,
) -> None:
    """Write a checkpoint atomically; the previous one is kept beside it.

    Raises:
        GratisError: the file cannot be written.
        Divergence: a tensor is not finite. The previous checkpoint stays.
    """
    tensors = {
        **_prefixed("model", train_state.module.state_dict()),
        **_prefixed("optimizer", _optimizer_tensors(train_state.optimizer)),
        **_prefixed("adversary", _of_all_ranks(train_state.adversary)),
        **_prefixed("metrics", metrics),
    }
    if train_state.average is not None:
        tensors |= _prefixed("average", train_state.average.state_dict())
    if name := _not_finite(tensors):
        raise Divergence(f"{name} is no longer finite")
    if not ranks.is_first():
        return
    checkpoint_file.write(path, tensors, _metadata(position, identity))


def load(
    path: Path, train_state: TrainState, identity: RunIdentity, largest: int
) -> tuple[Position, dict[str, Tensor]]:
    """Load a checkpoint into ``train_state``; return the position and the metrics not yet logged.

    ``largest`` is the number of images in the largest batch. A run may continue on another number
    of ranks: a checkpoint has the state of all of them, and each takes its rows.
    If the checkpoint is damaged, the previous one replaces it.
    """
    tensors, position = _read(path, identity, repair=True)
    try:
        return position, _load_tensors(path, tensors, train_state, largest)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        # The checksum and the identity are right but the content is not: the file is forged.
        raise file_error(path, "does not fit this run", checkpoint_file.TRAIN_AGAIN) from error


def _load_tensors(
    path: Path, tensors: dict[str, Tensor], train_state: TrainState, largest: int
) -> dict[str, Tensor]:
    """Load tensors into ``train_state``; return the metrics not yet logged."""
    device = train_state.fabric.device
    _load_module(path, train_state.module, stripped("model", tensors))
    if train_state.average is not None:
        _load_module(path, train_state.average, stripped("average", tensors))
    _load_optimizer(train_state.optimizer, stripped("optimizer", tensors))
    # The state of a generator stays on the CPU; delta goes to the images' device.
    state = _of_this_rank(train_state.adversary, stripped("adversary", tensors), largest)
    train_state.adversary.load_state_dict(
        {k: v.to(device) if v.dim() > 1 else v for k, v in state.items()}
    )
    return {k: v.to(device) for k, v in stripped("metrics", tensors).items()}


def _of_all_ranks(adversary: Adversary) -> dict[str, Tensor]:
    """Return the state of an adversary as one process would have it."""
    state = adversary.state_dict()
    for name in adversary.row_dims.keys() & state.keys():
        state[name] = ranks.gather(state[name], adversary.row_dims[name])
    return state


def _of_this_rank(
    adversary: Adversary, state: dict[str, Tensor], largest: int
) -> dict[str, Tensor]:
    own = dict(state)
    for name in adversary.row_dims.keys() & state.keys():
        dim = adversary.row_dims[name]
        rows = ranks.rows(largest, state[name].shape[dim])
        own[name] = state[name].narrow(dim, rows.start, rows.stop - rows.start)
    return own


def finished(path: Path, identity: RunIdentity) -> bool:
    """Return whether there is a checkpoint at ``path`` of a finished run.

    If the checkpoint is damaged, the previous one replaces it.
    """
    return exists(path) and _read(path, identity, repair=True)[1].finished


def load_weights(path: Path, module: nn.Module, identity: RunIdentity) -> Position:
    """Load the weights to evaluate into ``module``: the averaged ones, if there are any."""
    tensors, position = _read(path, identity)
    if not position.finished:
        remedy = f"finish it: gratis resume {quoted(path.parent)}"
        raise file_error(path, "belongs to an unfinished run", remedy)
    averaged = stripped("average.module", tensors)
    _load_module(path, module, averaged or stripped("model", tensors))
    return position


def save_weights(path: Path, module: nn.Module, position: Position, identity: RunIdentity) -> None:
    """Write a checkpoint of the weights to evaluate alone, which :func:`load_weights` reads."""
    metadata = _metadata(position, identity)
    checkpoint_file.write(path, _prefixed("model", module.state_dict()), metadata)


def _metadata(position: Position, identity: RunIdentity) -> dict[str, str]:
    return {"format": FORMAT, "position": to_json(position), "identity": json.dumps(dict(identity))}


def _read(
    path: Path, identity: RunIdentity, repair: bool = False
) -> tuple[dict[str, Tensor], Position]:
    tensors, metadata = checkpoint_file.read(path, repair)
    if metadata.get("format") != FORMAT:
        raise file_error(path, "is not a checkpoint of this version", checkpoint_file.TRAIN_AGAIN)
    try:
        saved = _IDENTITY.validate_json(metadata["identity"])
        saved = {present_path(key): value for key, value in saved.items()}
        position = from_json(metadata["position"])
    except (KeyError, ValidationError) as error:
        if kind := unknown_event(metadata.get("position", "")):
            problem = f"has an event of another version of gratis ({kind!r})"
            raise file_error(path, problem, "continue with the version that wrote it") from error
        raise file_error(
            path, "is damaged or not a checkpoint", checkpoint_file.TRAIN_AGAIN
        ) from error
    if changed := differences(saved, identity):
        raise file_error(
            path,
            f"belongs to another recipe or data set ({changed})",
            "train into a new folder with --out",
        )
    if name := _not_finite(tensors):
        raise file_error(
            path, f"contains numbers that are not finite ({name})", checkpoint_file.TRAIN_AGAIN
        )
    return tensors, position


def _not_finite(tensors: dict[str, Tensor]) -> str | None:
    return next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)


def _load_module(path: Path, module: nn.Module, state: dict[str, Tensor]) -> None:
    wanted = {name: tensor.shape for name, tensor in module.state_dict().items()}
    given = {name: tensor.shape for name, tensor in state.items()}
    if wanted != given:
        names = sorted(k for k in wanted.keys() | given.keys() if wanted.get(k) != given.get(k))
        raise file_error(
            path,
            f"is a checkpoint of another model ({len(names)} tensors differ, first {names[0]})",
        )
    module.load_state_dict(state)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value
        for index, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    # In the parameters' memory format: updates of mixed formats are slow.
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if not isinstance(value, Tensor) or value.numel() == 1:
                continue
            if value.shape != parameter.shape:
                raise ValueError(f"{name} has shape {tuple(value.shape)}")
            values[name] = torch.empty_like(parameter).copy_(value)


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{key}": value for key, value in tensors.items()}


def stripped(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names start with ``prefix.``, by the rest of the name."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
