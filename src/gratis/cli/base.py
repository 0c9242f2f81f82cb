"""A Typer application whose commands all take --quiet and --verbose."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from gratis import progress
from gratis.cli import output
from gratis.cli.logs import LEVELS, show_messages
from gratis.cli.options import NO_TYPE
from gratis.errors import Interrupted

Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Print warnings, errors and the result only, and no progress.",
        metavar=NO_TYPE,
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print details too.", metavar=NO_TYPE)
]
_ADDED = {"quiet": Quiet, "verbose": Verbose}


class App(typer.Typer):
    """A Typer application that gives every command the options for its messages."""

    def command(self, *arguments: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        """Register a command."""
        register = super().command(*arguments, **options)
        return lambda function: register(_with_levels(function))


def _with_levels(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` with the arguments ``quiet`` and ``verbose``."""

    @functools.wraps(function)
    def command(*, quiet: bool, verbose: bool, **options: Any) -> Any:
        show_messages(LEVELS["quiet" if quiet else "verbose" if verbose else "normal"])
        progress.show_bars(not quiet)
        output.set_quiet(quiet)
        try:
            return function(**options)
        except KeyboardInterrupt as error:
            # Typer's own handling differs between its versions.
            raise Interrupted("stopped; run the same command again to continue") from error

    command.__doc__ = _unwrapped(function)
    # Typer reads options from the signature and the annotations.
    signature = inspect.signature(function, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in _ADDED.items()
    ]
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), *added]
    )
    command.__annotations__ = function.__annotations__ | _ADDED
    return command


def _unwrapped(function: Callable[..., Any]) -> str:
    """Return the docstring with a line for each paragraph, so that it fills any terminal."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
