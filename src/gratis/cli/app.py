"""A Typer application whose commands all take --quiet and --verbose."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
import typer
from typer.core import TyperCommand

from gratis import progress
from gratis.cli.logs import LEVELS, show_messages

Function = TypeVar("Function", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command with the options that choose how much is printed on standard error."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Add the options."""
        super().__init__(*arguments, **options)
        self.params += [
            click.Option(
                ["-q", "--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_set_level("quiet"),
                help="Print warnings and errors only, and no progress bar.",
            ),
            click.Option(
                ["-v", "--verbose"],
                is_flag=True,
                expose_value=False,
                callback=_set_level("verbose"),
                help="Print details too.",
            ),
        ]


def _set_level(name: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def set_level(context: click.Context, parameter: click.Parameter, chosen: bool) -> None:
        if chosen:
            show_messages(LEVELS[name])
            progress.hide_bars(name == "quiet")

    return set_level


class App(typer.Typer):
    """A Typer application of such commands."""

    def command(self, *arguments: Any, **options: Any) -> Callable[[Function], Function]:
        """Register a command."""
        return super().command(*arguments, **{"cls": Command} | options)
