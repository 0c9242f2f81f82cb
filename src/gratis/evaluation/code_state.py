"""What the code of a function decides: its instructions, and the globals and modules it reads."""

import contextlib
import dis
import importlib.util
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

from gratis.digests import digest
from gratis.evaluation.source_files import is_library


def bytecode(code: types.CodeType) -> str:
    """Return everything about compiled code but its place in a file."""
    constants = [
        bytecode(c) if isinstance(c, types.CodeType) else _constant(c) for c in code.co_consts
    ]
    return digest([code.co_code.hex(), *constants, repr(code.co_names), repr(code.co_freevars)])


def _constant(value: object) -> str:
    # The order of a set of texts differs between processes.
    return repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value)


def globals_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the global variables that a function reads, and the modules that it imports.

    Of modules that are no library, their attributes among the names in the code too.
    """
    names = set(_names(function.__code__))
    variables = function.__globals__
    for name in sorted(_imports(function.__code__, variables)):
        yield from _with_attributes(f"import {name}", sys.modules.get(name, "not yet"), names)
    for name in sorted(names & variables.keys()):
        yield from _with_attributes(f"global {name}", variables[name], names)


def _with_attributes(path: str, value: Any, names: set[str]) -> Iterator[tuple[str, Any]]:
    yield path, value
    if isinstance(value, types.ModuleType) and not is_library(value):
        found = vars(value)
        yield from ((f"{path}.{k}", found[k]) for k in sorted(names & found.keys()))


def _imports(code: types.CodeType, variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield the full names of the modules that code imports when it runs."""
    instructions = list(dis.get_instructions(code))
    for place, instruction in enumerate(instructions):
        if instruction.opname != "IMPORT_NAME":
            continue
        level = instructions[place - 2].argval
        package = variables.get("__package__") or ""
        name = "." * (level if isinstance(level, int) else 0) + str(instruction.argval)
        with contextlib.suppress(ImportError):
            yield importlib.util.resolve_name(name, package)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imports(constant, variables)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
