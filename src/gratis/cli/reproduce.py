"""Commands about many runs: reproduce, report."""

from pathlib import Path
from typing import Annotated

import typer

from gratis.cli.names import refuse_typos
from gratis.cli.options import (
    AsJson,
    DataName,
    DataRoot,
    Log,
    OnDivergence,
    ProfileName,
    SkipBroken,
    data_overrides,
    flag,
    option,
)
from gratis.cli.output import print_folder, print_json, print_runs, write_report
from gratis.settings import overrides_of


def reproduce(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE|KEY=VALUE",
            help="Only these recipes (names or your own .yaml), and overrides for every recipe "
            "that has the key. KEY=VALUE,VALUE makes a row of the table for each value.",
        ),
    ] = None,
    profile: ProfileName = None,
    data: DataName = None,
    data_root: DataRoot = None,
    out: Annotated[
        Path | None,
        option(
            "The folder for runs, sets and tables. Default: out/PROFILE, or "
            "out/PROFILE-DATA with --data.",
            "DIR",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="The number of seeds for each recipe.", min=1)] = 1,
    only: Annotated[list[str] | None, typer.Option(help="Only this recipe; repeatable.")] = None,
    on_divergence: OnDivergence = None,
    skip_broken: SkipBroken = False,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Reproduce the paper's Table 1 and Figure 1, plus the measurements missing there.

    The command trains every recipe, evaluates all models on the same perturbed sets, and writes
    table.md, table.csv, paired.md, results.json and figure1.png. Run it again to resume.

    The default of --profile is 'digits'; with --data it is that of 'gratis train'.
    """
    refuse_typos(profile=profile, data=data)
    from gratis.recipe import default_profile
    from gratis.run import reproduce as reproduce_rows
    from gratis.run import rows_of

    given = overrides or []
    named = [*(only or []), *(word for word in given if "=" not in word)]
    handling = overrides_of({"train.on_divergence": on_divergence})
    data_changes = data_overrides(data, data_root, skip_broken)
    profile = profile or default_profile("", data_changes) or "digits"
    changes = [*data_changes, *handling, *(word for word in given if "=" in word)]
    baseline, rows = rows_of(profile, named, changes)
    label = f"-{baseline.data.label}" if data else ""
    folder = out or Path("out") / f"{Path(profile).stem}{label}"
    results = reproduce_rows(baseline, rows, folder, seeds, log or ())
    write_report(results, rows, folder, seeds)
    if as_json:
        print_json([each.model_dump(mode="json") for each in results])
        return
    print_runs(results, folder, "table.md, table.csv, results.json, figure1.png, paired.md")


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN", help="Folders of runs or evaluations, or folders that contain them."
        ),
    ],
    out: Annotated[Path | None, option("The folder for the report.", "DIR")] = None,
    show: Annotated[
        list[str] | None, option("Show images of this recipe; repeatable.", "RECIPE")
    ] = None,
    images: Annotated[
        bool, flag("--images/--no-images", "Whether to show images and the accuracy of each class.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Write a report on evaluations: report.html as a single file, and report.md with images.

    The files go to DIR, by default the folder 'report' in the first RUN. Without --show, the report
    has images of the most robust recipe, the baseline and the first recipe with a denoiser.
    """
    from gratis.regular_files import refuse_link
    from gratis.report import choose, read_runs, write_page

    found = read_runs(runs)
    chosen = choose(found.runs, show or []) if images else []
    folder = out or runs[0] / "report"
    if out is None:
        refuse_link(folder)
    write_page(found, chosen, folder)
    print_folder(folder, "report.html, report.md", as_json)
