"""The command ``gratis study``."""

from pathlib import Path
from typing import Annotated

import typer

from gratis.cli.options import PROFILE, AsJson, DataRoot, SkipBroken, data_overrides, option
from gratis.cli.output import print_folder, print_json, print_lines

_LIST = "ls"


def study(
    name: Annotated[
        str, typer.Argument(metavar="NAME|ls", help="A study from 'gratis study ls', or a .yaml.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides for every variant.")
    ] = None,
    profile: Annotated[str, option(PROFILE, "NAME")] = "tiny-imagenet-small",
    data_root: DataRoot = None,
    out: Annotated[
        Path | None,
        option("The folder for the runs of all studies. Default: out/studies/PROFILE.", "DIR"),
    ] = None,
    seeds: Annotated[int, typer.Option(help="The number of seeds for each variant.", min=1)] = 3,
    skip_broken: SkipBroken = False,
    as_json: AsJson = False,
) -> None:
    """Test one claim of the paper: train a few variants with several seeds, and compare them.

    The command writes study.md with the conclusion, study.json and figure.png. Run it again to
    resume. 'gratis study ls' lists the studies.
    """
    from gratis.packaged import describe_studies, titles

    if name == _LIST:
        if as_json:
            print_json(titles("study"))
        else:
            print_lines(describe_studies())
        return
    from gratis.regular_files import refuse_link
    from gratis.study import load_study, run_study, write_study

    chosen = load_study(name)
    folder = out or Path("out/studies") / Path(profile).stem
    refuse_link(folder / chosen.name)
    given = overrides or []
    changes = [*data_overrides(None, data_root, skip_broken), *given]
    command = " ".join(["gratis study", name, "--profile", profile, "--seeds", str(seeds), *given])
    for results in run_study(chosen, profile, folder, seeds, changes, command):
        write_study(chosen, results, folder / chosen.name)
        if not as_json:
            print_lines(f"{results.seeds} of {seeds} seeds in {folder / chosen.name}: study.md")
    if as_json:
        print_folder(folder / chosen.name, "study.json, study.md, figure.png", as_json)
