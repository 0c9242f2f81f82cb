"""Networks that a function of the user's returns."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from gratis.errors import GratisError, printable


def from_function(spec: str) -> nn.Module:
    """Return the module that a function of the user's returns; this imports and runs their code.

    Args:
        spec: ``package.module:function``. The current folder is searched for the module last.

    Raises:
        GratisError: the function cannot be imported, fails, or returns something else.
    """
    name, _, attribute = spec.partition(":")
    try:
        with _importable(Path.cwd()):
            model = getattr(importlib.import_module(name), attribute)()
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        remedy = "name a function without arguments, as package.module:function"
        raise GratisError(printable(f"{spec}: cannot be called ({problem}); {remedy}")) from error
    if not isinstance(model, nn.Module):
        raise GratisError(f"{spec}: returns {type(model).__name__}; return a torch.nn.Module")
    return model


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let Python find modules in ``folder`` while the block runs, after all other places."""
    entry = str(folder)
    added = entry not in sys.path
    if added:
        sys.path.append(entry)
    try:
        yield
    finally:
        if added and entry in sys.path:
            sys.path.remove(entry)
