"""Whether code that the recipe in a run's folder names may be imported.

A recipe that the user names is the user's own choice. A run's folder may come from a stranger.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_TRUSTED: ContextVar[bool] = ContextVar("trust_code", default=False)


def is_code_trusted() -> bool:
    """Return whether code that a run's folder names may be imported now."""
    return _TRUSTED.get()


@contextmanager
def trusting_code(trust: bool = True) -> Iterator[None]:
    """Allow the code that run folders name while the block runs; ``False`` changes nothing."""
    before = _TRUSTED.set(_TRUSTED.get() or trust is True)
    try:
        yield
    finally:
        _TRUSTED.reset(before)


def takes_trust_code(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function with a keyword ``trust_code``, which holds while it runs."""

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> R:
        with trusting_code(named.get("trust_code") is True):
            return function(*arguments, **named)

    return call
