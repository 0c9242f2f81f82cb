"""Networks that a function of the user's returns."""

import importlib

from torch import nn

from gratis.errors import GratisError
from gratis.model.current_folder import importable


def from_function(spec: str) -> nn.Module:
    """Return the module that a function of the user's returns; this imports and runs their code.

    Args:
        spec: ``package.module:function``. The current folder is searched last, for this module
            and for what it imports from beside itself.
    """
    name, _, attribute = spec.partition(":")
    try:
        with importable(name):
            model = getattr(importlib.import_module(name), attribute)()
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        remedy = "name a function without arguments, as package.module:function"
        raise GratisError(f"{spec}: cannot be called ({problem}); {remedy}") from error
    if not isinstance(model, nn.Module):
        raise GratisError(f"{spec}: returns {type(model).__name__}; return a torch.nn.Module")
    return model
