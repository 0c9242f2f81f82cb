"""Everything that decides what a model computes, as one digest.

Weights, attributes of any kind, hooks, closures, global variables that its code reads, the code
itself and the files that it is in. Objects whose state cannot be read are named.
"""

import enum
import functools
import pathlib
import re
import sys
import types
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gratis.digests import digest, tensors_digest
from gratis.evaluation.code_state import bytecode, globals_of
from gratis.evaluation.source_files import file_state, is_library
from gratis.model import Onnx

# The representation of these objects says everything about them.
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...), type(NotImplemented))
_EXACT = (
    np.generic,
    np.dtype,
    torch.dtype,
    torch.device,
    torch.Size,
    torch.layout,
    torch.memory_format,
    pathlib.PurePath,
    enum.Enum,
    re.Pattern,
    range,
    slice,
    Fraction,
)
_NAMED = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
)
# Objects that consist of others.
_LEADS_TO: dict[type, tuple[str, ...]] = {
    functools.partial: ("func", "args", "keywords"),
    types.MethodType: ("__func__", "__self__"),
    types.BuiltinFunctionType: ("__self__",),
    property: ("fget",),
    classmethod: ("__func__",),
    staticmethod: ("__func__",),
}
# What modules keep for saving, training and their own bookkeeping.
_IGNORED = re.compile(r"training|_(state_dict|load_state|backward|non_persistent|is_full).*")


class ModelState(NamedTuple):
    """What decides a model's outputs.

    Attributes:
        digest: SHA-256 in hexadecimal, the same in every process.
        unknown: the objects whose state cannot be read, by path and type.
    """

    digest: str
    unknown: tuple[str, ...]


def model_state(model: nn.Module) -> ModelState:
    """Return what decides the outputs of ``model``."""
    return state_of(model)


def state_of(thing: Any) -> ModelState:
    """Return what decides the behaviour of a model, a function or any other object."""
    reader = _Reader()
    reader.read("model", thing)
    return ModelState(digest(reader.lines), tuple(reader.unknown))


class _Reader:
    """Reads objects of any kind, each once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.unknown: list[str] = []
        # The objects are kept, so that no other gets the id of one that is gone.
        self._seen: dict[int, tuple[int, object]] = {}

    def read(self, path: str, value: Any) -> None:
        """Add ``value`` and everything that it leads to."""
        if isinstance(value, (*_PLAIN, *_EXACT)):
            self.lines.append(f"{path} {type(value).__name__} {value!r}")
            return
        if id(value) in self._seen:
            self.lines.append(f"{path} is {self._seen[id(value)][0]}")
            return
        self._seen[id(value)] = len(self._seen), value
        self.lines.append(f"{path} {_name(type(value))}")
        try:
            parts = list(self._parts(path, value))
        except Exception:
            # Objects may refuse to be looked at.
            parts = []
            self.unknown.append(f"{path} ({_name(type(value))})")
        for name, part in parts:
            self.read(f"{path}{name}", part)

    def _parts(self, path: str, value: Any) -> Iterator[tuple[str, Any]]:
        """Yield the parts of an object by name, and add what is plain about it."""
        if isinstance(value, Tensor | np.ndarray | torch.Generator):
            self.lines.append(_numbers(value))
        elif isinstance(value, Mapping):
            yield from ((f"[{_key(k)}]", v) for k, v in value.items())
            yield from (("key", k) for k in value if not isinstance(k, _PLAIN))
        elif isinstance(value, list | tuple):
            yield from ((f"[{i}]", v) for i, v in enumerate(value))
        elif isinstance(value, set | frozenset) and all(isinstance(v, _PLAIN) for v in value):
            yield "set", sorted(map(repr, value))
        elif isinstance(value, types.ModuleType | type | types.FunctionType):
            yield from self._code(value)
        else:
            yield from self._object(path, value)

    def _code(self, value: Any) -> Iterator[tuple[str, Any]]:
        """Yield what a module, a class or a function leads to."""
        module = value if isinstance(value, types.ModuleType) else sys.modules.get(value.__module__)
        self.lines.append(f"{_name(value)} {'' if module is None else file_state(module)}")
        if isinstance(value, types.FunctionType):
            yield "()", [value.__defaults__, value.__kwdefaults__]
            yield "closure", [_content(cell) for cell in value.__closure__ or ()]
        if is_library(module):
            return
        if isinstance(value, type):
            yield from ((f".{k}", v) for k, v in _members(value))
            yield from ((".base", base) for base in value.__bases__)
        elif isinstance(value, types.FunctionType):
            self.lines.append(bytecode(value.__code__))
            yield from globals_of(value)

    def _object(self, path: str, value: Any) -> Iterator[tuple[str, Any]]:
        """Yield the state of any other object."""
        yield ".class", type(value)
        if isinstance(value, Onnx):
            self.lines.append(value.extra_repr())
        elif names := next((n for kind, n in _LEADS_TO.items() if isinstance(value, kind)), None):
            self.lines.append(_name(value))
            yield "", [getattr(value, name) for name in names]
        elif isinstance(value, _NAMED):
            self.lines.append(_name(value))
        elif isinstance(value, nn.Module):
            self.lines.append(value.extra_repr())
            yield from ((f".{k}", v) for k, v in _state(value) if not _IGNORED.fullmatch(k))
        elif hasattr(value, "__dict__") or hasattr(value, "__slots__"):
            yield from ((f".{k}", v) for k, v in _state(value))
        else:
            self.unknown.append(f"{path} ({_name(type(value))})")


def _state(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an object."""
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                yield name, getattr(value, name)
    for name, part in getattr(value, "__dict__", {}).items():
        # The keys of hooks count all hooks of the process.
        hooks = name.endswith("_hooks") and isinstance(part, Mapping)
        yield name, list(part.values()) if hooks else part


def _numbers(value: Any) -> str:
    if isinstance(value, torch.Generator):
        value = value.get_state()
    if isinstance(value, np.ndarray):
        return digest([value])
    return tensors_digest({"": value})


def _name(value: Any) -> str:
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", "")
    return f"{getattr(value, '__module__', '')}.{name}"


def _key(key: object) -> str:
    return repr(key) if isinstance(key, _PLAIN) else _name(type(key))


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # The variable has no value yet.
        return None


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield what a class defines, apart from what Python adds to every class."""
    for name, value in vars(kind).items():
        if name in ("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__"):
            continue
        if not name.startswith("_abc"):
            yield name, value
