"""The command ``gratis data``."""

from typing import Annotated

import typer

from gratis.cli.options import DATA_NAMES, DataOverrides, DataRoot, SkipBroken, data_overrides


def data(
    name: Annotated[str, typer.Argument(metavar="NAME", help=DATA_NAMES)] = "digits",
    data_root: DataRoot = None,
    skip_broken: SkipBroken = False,
    overrides: DataOverrides = None,
) -> None:
    """Download, check and decode a data set, and describe it."""
    from gratis.data import load
    from gratis.recipe import resolve_data

    settings = [*data_overrides(name, data_root, skip_broken), *(overrides or [])]
    typer.echo(load(resolve_data(settings), check=True).describe())
