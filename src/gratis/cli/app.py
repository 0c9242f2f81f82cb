"""The application: every command, in the order of its help."""

from typing import Annotated

import typer
from typer.main import get_command

from gratis.cli import (
    data,
    evaluate,
    export,
    harden,
    play,
    predict,
    recipes,
    reproduce,
    runs,
    share,
    study,
    train,
)
from gratis.cli.base import App
from gratis.cli.options import NO_TYPE

HELP = "Robust image classifiers at the price of ordinary training."


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gratis {version('gratis')}")
        raise typer.Exit


app = App(
    help=HELP,
    epilog="Start with: gratis reproduce",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    train.train,
    harden.harden,
    train.resume,
    train.timing,
    evaluate.evaluate,
    evaluate.perturb,
    predict.predict,
    play.play,
    export.export,
    share.push,
    share.verify,
    reproduce.reproduce,
    study.study,
    reproduce.report,
    runs.compare,
    data.data,
    runs.doctor,
):
    app.command()(command)
app.add_typer(recipes.recipes_app, name="recipes", no_args_is_help=True)
app.add_typer(runs.runs_app, name="runs", no_args_is_help=True)


@app.callback(help=HELP)
def program(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version.",
            is_eager=True,
            callback=_print_version,
            metavar=NO_TYPE,
        ),
    ] = False,
) -> None:
    """Take the options before a command."""


def known_options() -> dict[str, list[str]]:
    """Return the options of every command, by its name."""
    commands = getattr(get_command(app), "commands", {})
    return {
        name: [option for parameter in command.params for option in parameter.opts]
        for name, command in commands.items()
    }
