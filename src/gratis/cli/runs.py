"""Commands that look at runs and at this machine: runs ls, compare, doctor."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gratis.cli.base import App
from gratis.cli.options import AsJson
from gratis.cli.output import print_json, print_table
from gratis.errors import printable

runs_app = App(help="List the runs in a folder.")


@runs_app.callback()
def runs() -> None:
    """List the runs in a folder."""


@runs_app.command("ls")
def list_runs(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder; those below are searched too.")
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """List runs and evaluations: recipe, data, state, accuracies, time of the last change."""
    from gratis.report import list_runs as listed
    from gratis.report import listing_table

    found = listed(folder)
    if as_json:
        print_json([asdict(run) for run in found])
    elif found:
        print_table(listing_table(found))
    else:
        typer.echo(f"no runs in {printable(str(folder))}")


def compare(
    a: Annotated[Path, typer.Argument(metavar="RUN", help="A measured run, or an evaluation.")],
    b: Annotated[Path, typer.Argument(metavar="RUN", help="The one to compare it with.")],
    as_json: AsJson = False,
) -> None:
    """Compare two models on the same images, with a paired test."""
    from gratis.report import compare_two, pair_table

    pair = compare_two(a, b)
    if as_json:
        print_json(asdict(pair))
        return
    print_table(pair_table(pair))
    typer.echo(printable(pair.conclusion))


def doctor(as_json: AsJson = False) -> None:
    """Show the device, versions and caches that gratis uses, and what is missing."""
    from gratis.run.diagnosis import diagnose

    found = diagnose()
    if as_json:
        print_json([asdict(finding) for finding in found])
        return
    width = max(len(finding.name) for finding in found)
    for finding in found:
        remedy = f"; {finding.remedy}" if finding.remedy else ""
        typer.echo(printable(f"{finding.name:{width}}  {finding.value}{remedy}"))
