"""Robust image classifiers at the price of ordinary training.

::

    import gratis

    results = gratis.evaluate(model, "folder:~/pets", suite="standard")
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gratis.run import evaluate_model as evaluate

__all__ = ["evaluate"]


class _Room(ModuleType):
    """The room ``gratis.evaluate``, which is also the function of that name."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Do what :func:`gratis.run.evaluate_model` does."""
        return import_module("gratis.run").evaluate_model(*arguments, **options)


class _Package(ModuleType):
    """This package: nothing is imported before it is used, so that ``--help`` answers at once."""

    def __getattr__(self, name: str) -> Any:
        """Import the room that can be called."""
        if name == "evaluate":
            return import_module("gratis.evaluate")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Let the room be called from the moment it is imported, by whomever."""
        if name == "evaluate":
            value.__class__ = _Room
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
