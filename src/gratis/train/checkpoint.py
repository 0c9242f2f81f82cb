"""Checkpoints: everything that the rest of a run depends on, in one safetensors file.

Random draws are keyed by position, so the position stands in for every random state but the
adversary's own.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from gratis.errors import file_error
from gratis.files import replacing
from gratis.train.step import Learner

FORMAT = "1"


@dataclass
class Position:
    """How far a run has come: ``passes`` done, ``batches`` drawn, ``steps`` (replays) made.

    ``images`` is the number of training images; ``seconds`` is the time spent in training;
    ``finished`` says whether the planned passes are spent.
    """

    passes: float = 0.0
    batches: int = 0
    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    metrics_bytes: int = 0
    finished: bool = False


def save(
    path: Path,
    learner: Learner,
    position: Position,
    metrics: dict[str, Tensor],
    identity: str,
) -> None:
    """Write a checkpoint, all or nothing.

    ``metrics`` are those not yet written; ``identity`` names what may not change between saving
    and loading: recipe and data.

    Raises:
        GratisError: the file cannot be written.
    """
    tensors = {
        **_prefixed("model", learner.module.state_dict()),
        **_prefixed("optimizer", _optimizer_tensors(learner.optimizer)),
        **_prefixed("adversary", learner.adversary.state_dict()),
        **_prefixed("metrics", metrics),
    }
    if learner.average is not None:
        tensors |= _prefixed("average", learner.average.state_dict())
    metadata = {
        "format": FORMAT,
        "position": json.dumps(asdict(position)),
        "identity": identity,
    }
    with replacing(path) as temporary:
        save_file({k: v.cpu().contiguous() for k, v in tensors.items()}, temporary, metadata)


def load(path: Path, learner: Learner, identity: str) -> tuple[Position, dict[str, Tensor]]:
    """Put a checkpoint's state into ``learner``; return the position and unwritten metrics.

    Raises:
        GratisError: the file is missing, damaged, or belongs to another recipe or data set.
    """
    tensors, metadata = _read(path)
    _check_identity(path, metadata, identity)
    device = learner.fabric.device
    _load_module(path, learner.module, stripped("model", tensors))
    if learner.average is not None:
        _load_module(path, learner.average, stripped("average", tensors))
    _load_optimizer(learner.optimizer, stripped("optimizer", tensors))
    # Generators' states stay on the CPU; delta goes where the images are.
    learner.adversary.load_state_dict(
        {k: v.to(device) if v.dim() > 1 else v for k, v in stripped("adversary", tensors).items()}
    )
    metrics = {k: v.to(device) for k, v in stripped("metrics", tensors).items()}
    return Position(**json.loads(metadata["position"])), metrics


def finished(path: Path, identity: str) -> bool:
    """Return whether there is a checkpoint at ``path`` and its run is finished.

    Raises:
        GratisError: the file is damaged, or belongs to another recipe or data set.
    """
    if not path.exists():
        return False
    _, metadata = _read(path)
    _check_identity(path, metadata, identity)
    return Position(**json.loads(metadata["position"])).finished


def load_weights(path: Path, module: nn.Module, identity: str) -> Position:
    """Put the weights that count into ``module``: the averaged ones, if there are any.

    Raises:
        GratisError: the file is missing or damaged, or belongs to another or an unfinished run.
    """
    tensors, metadata = _read(path)
    _check_identity(path, metadata, identity)
    position = Position(**json.loads(metadata["position"]))
    if not position.finished:
        raise file_error(path, "is of an unfinished run", f"finish it: gratis resume {path.parent}")
    averaged = stripped("average.module", tensors)
    _load_module(path, module, averaged or stripped("model", tensors))
    return position


def _check_identity(path: Path, metadata: dict[str, str], identity: str) -> None:
    if metadata.get("identity") != identity:
        raise file_error(
            path, "belongs to another recipe or data set", "train into a new folder with --out"
        )


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise file_error(path, "no such checkpoint", "train first")
    try:
        with safe_open(path, framework="pt") as content:
            metadata = content.metadata() or {}
            tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise file_error(path, "is damaged or not a checkpoint", "train again") from error
    if metadata.get("format") != FORMAT:
        raise file_error(path, "is not a checkpoint of this version", "train again")
    return tensors, metadata


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
    # In memory as the parameters are, and as they were: updates of mixed layouts are slow.
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter).copy_(value)


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{key}": value for key, value in tensors.items()}


def stripped(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors below ``prefix``, without it."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
