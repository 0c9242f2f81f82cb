"""The command ``gratis data``."""

from typing import Annotated

import typer

from gratis.cli.names import refuse_typos
from gratis.cli.options import (
    DATA_NAMES,
    AsJson,
    DataOverrides,
    DataRoot,
    SkipBroken,
    ValFraction,
    data_overrides,
)
from gratis.cli.output import print_json, print_lines


def data(
    name: Annotated[str, typer.Argument(metavar="NAME", help=DATA_NAMES)] = "digits",
    data_root: DataRoot = None,
    skip_broken: SkipBroken = False,
    val_fraction: ValFraction = None,
    overrides: DataOverrides = None,
    as_json: AsJson = False,
) -> None:
    """Download, check and decode a data set, and print a summary."""
    refuse_typos(data=name)
    from gratis.data import load
    from gratis.data.info import DataInfo
    from gratis.recipe import resolve_data

    settings = [*data_overrides(name, data_root, skip_broken, val_fraction), *(overrides or [])]
    dataset = load(resolve_data(settings), check=True)
    if as_json:
        print_json(DataInfo.of(dataset).model_dump(mode="json"))
    else:
        print_lines(dataset.describe())
