"""A state dict matched with the tensors of a network."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gratis.errors import file_error

# The share of a network's tensors that a file may lack, and of a file's that may have no place.
TOLERATED = 0.1
_LISTED = 3
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Match:
    """The tensors of a file by the names of a network.

    Attributes:
        tensors: what the network takes from the file.
        missing: the network's tensors that the file lacks.
        unused: what the network has no place for, by name without the prefix.
        others: what has another prefix.
        prefix: the prefix of the network's names in the file.
    """

    tensors: dict[str, Tensor]
    missing: tuple[str, ...]
    unused: dict[str, Tensor]
    others: dict[str, Tensor]
    prefix: str

    def layer(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return weight and bias of the first layer of these names that the file has."""
        every = self.others | self.unused | self.tensors
        for name in names:
            if f"{name}.weight" in every:
                kinds = ("weight", "bias")
                return {k: every[f"{name}.{k}"] for k in kinds if f"{name}.{k}" in every}
        return {}


def match(state: Mapping[str, Tensor], network: nn.Module) -> Match:
    """Match a state dict with a network, which is not changed.

    Prefixes of any depth are removed, such as ``module.``, ``_orig_mod.`` or ``model.``. timm
    renames other conventions, and interpolates the position embeddings of another image size.
    """
    wanted = network.state_dict()
    prefix = _prefix(state, wanted)
    own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    own = _renamed(own, network)
    return Match(
        {k: v for k, v in own.items() if k in wanted},
        tuple(k for k in wanted if k not in own and not k.endswith("num_batches_tracked")),
        {k: v for k, v in own.items() if k not in wanted},
        {k: v for k, v in state.items() if not k.startswith(prefix)},
        prefix,
    )


def _prefix(names: Iterable[str], wanted: Mapping[str, Tensor]) -> str:
    """Return the prefix of the network's names in most of ``names``."""
    names, votes = list(names), Counter[str]()
    most = min(len(names), len(wanted))
    for name in names:
        for place in (0, *(i + 1 for i, letter in enumerate(name) if letter == ".")):
            if name[place:] in wanted:
                votes[name[:place]] += 1
    best = max(votes, key=lambda prefix: (votes[prefix], -len(prefix)), default="")
    if 2 * votes[best] >= most:
        return best
    # Other conventions have other names: remove what all have in common.
    parts = zip(*(name.split(".")[:-1] for name in names), strict=False)
    shared = takewhile(lambda column: len(set(column)) == 1, parts)
    return "".join(f"{column[0]}." for column in shared)


def _renamed(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return weights as timm prepares them for this architecture and image size."""
    convert: Any = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if convert is None or not hasattr(network, "pretrained_cfg"):
        return state
    try:
        return dict(convert(dict(state), network))
    except Exception:
        # These are weights of another architecture, and are refused for what does not fit.
        return state


@dataclass(frozen=True)
class LoadLimits:
    """What :func:`refuse_misfit` allows, and the words of its message.

    Attributes:
        network: the network in words.
        remedy: what to do if the weights do not fit.
        tolerated: the share of the network's tensors that may be missing.
        class_layers: the starts of names that may have no place: those of the class layer.
    """

    network: str
    remedy: str
    tolerated: float = TOLERATED
    class_layers: tuple[str, ...] = ()


def refuse_misfit(found: Match, network: nn.Module, path: Path, limits: LoadLimits) -> None:
    """Refuse weights of another architecture, and tensors that are no trained weights."""
    wanted = network.state_dict()
    problem = f"does not fit {limits.network}"
    for name, value in found.tensors.items():
        if value.shape != wanted[name].shape:
            shapes = f"{_shape(value)} in the file and {_shape(wanted[name])} in the model"
            raise file_error(path, f"{problem} ({name} is {shapes})", limits.remedy)
        _refuse_odd(path, name, value, wanted[name])
    if len(found.missing) > limits.tolerated * len(wanted):
        share = f"{len(found.missing)} of its {len(wanted)} tensors ({listed(found.missing)})"
        limit = f"; at most {limits.tolerated:.0%} may be missing" if limits.tolerated else ""
        raise file_error(path, f"{problem}: the file lacks {share}{limit}", limits.remedy)
    left = [name for name in found.unused if not name.startswith(limits.class_layers)]
    if len(left) > TOLERATED * (total := len(found.tensors) + len(left)):
        share = f"{len(left)} of the file's {total} tensors ({listed(left)})"
        limit = f"at most {TOLERATED:.0%} may be unused"
        raise file_error(path, f"{problem}: it has no place for {share}; {limit}", limits.remedy)


def listed(names: Iterable[str]) -> str:
    """Return the first of ``names`` and a count of the rest."""
    names = list(names)
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _refuse_odd(path: Path, name: str, value: Tensor, wanted: Tensor) -> None:
    """Refuse a tensor that is no trained weight, before it is copied into a network."""
    plain = value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
    kinds = _FLOATS if wanted.is_floating_point() else (wanted.dtype,)
    if not plain or value.dtype not in kinds:
        kind = "meta" if value.device.type == "meta" else str(value.dtype).removeprefix("torch.")
        kind = kind if value.layout is torch.strided else f"sparse {kind}"
        raise file_error(path, f"{name} is {kind} and not a plain tensor", "save it as float32")
    if not torch.isfinite(value).all():
        raise file_error(path, f"{name} holds NaN or infinity", "use weights from another epoch")
