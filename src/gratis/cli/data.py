"""The command ``gratis data``."""

from typing import Annotated

import typer

from gratis.cli.options import DataRoot, Overrides, SkipBroken, data_overrides


def data(
    name: Annotated[
        str, typer.Argument(help="digits, tiny-imagenet, cifar10, cifar100, or folder:PATH.")
    ] = "digits",
    data_root: DataRoot = None,
    skip_broken: SkipBroken = False,
    overrides: Overrides = None,
) -> None:
    """Download, check and decode a data set, and describe it."""
    from gratis.data import load
    from gratis.recipe import resolve_data

    settings = [*data_overrides(name, data_root, skip_broken), *(overrides or [])]
    typer.echo(load(resolve_data(settings), check=True).describe())
