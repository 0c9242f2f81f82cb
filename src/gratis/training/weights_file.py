"""A file with the weights of one model of a run, and the identity of the run."""

import json
from pathlib import Path

from torch import Tensor, nn

from gratis.errors import file_error, quoted
from gratis.training import checkpoint_file
from gratis.training.identity import RunIdentity

StateDict = dict[str, Tensor]


def write(path: Path, state: StateDict, identity: RunIdentity) -> None:
    """Write a state dict atomically; an earlier file is replaced."""
    # No earlier file stays beside it: it may hold another model.
    path.unlink(missing_ok=True)
    checkpoint_file.write(path, state, {"identity": json.dumps(dict(identity), sort_keys=True)})


def read(path: Path, identity: RunIdentity) -> StateDict:
    """Return what :func:`write` wrote for a run with this identity."""
    remedy = f"run: gratis resume {quoted(path.parent)}"
    if not path.is_file():
        raise file_error(path, "is missing, so the run is unfinished", remedy)
    state, metadata = checkpoint_file.read(path)
    if metadata.get("identity") != json.dumps(dict(identity), sort_keys=True):
        raise file_error(path, "belongs to another run", "delete it and resume the run")
    return state


def load(path: Path, module: nn.Module, state: StateDict) -> None:
    """Load into ``module`` the ``state`` that :func:`read` returned for ``path``."""
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise file_error(path, "does not fit this run", "delete it and resume the run") from error
