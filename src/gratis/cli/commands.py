"""The commands: parse, call, print. Heavy imports wait inside them."""

from pathlib import Path
from typing import Annotated

import typer

from gratis.cli.app import App
from gratis.cli.options import (
    PROFILE,
    DataName,
    DataRoot,
    OnDivergence,
    Overrides,
    ProfileName,
    RecipeName,
    RunPath,
    Sets,
    SkipBroken,
    budget_overrides,
    data_overrides,
    divergence_overrides,
    natural_profile,
    refuse_beside_run,
)
from gratis.cli.output import (
    print_checks,
    print_results,
    print_tasks,
    print_timing,
    write_report,
)
from gratis.cli.recipes import recipes_app

app = App(
    help="Robust image classifiers at the price of ordinary training.",
    epilog="Start with: gratis reproduce",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(recipes_app, name="recipes", no_args_is_help=True)


@app.command()
def train(
    recipe: RecipeName,
    overrides: Overrides = None,
    data: DataName = None,
    data_root: DataRoot = None,
    profile: ProfileName = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The run's folder.", metavar="RUN")
    ] = None,
    sets: Sets = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="How long training may take, such as 90s, 20m, 1.5h or 2gpuh; the epochs follow.",
            metavar="TIME",
        ),
    ] = None,
    on_divergence: OnDivergence = None,
    skip_broken: SkipBroken = False,
) -> None:
    """Train one recipe and measure it.

    Without --profile a packaged recipe gets the sizes for its data: 'digits' for digits, else
    'tiny-imagenet'; those of the record have the sizes of 'record', and a .yaml of your own is
    taken as it is. The same command goes on where an interrupted one stopped.
    """
    from gratis.recipe import resolve
    from gratis.run import train as train_recipe

    handling = [*divergence_overrides(on_divergence), *budget_overrides(budget)]
    changes = [*data_overrides(data, data_root, skip_broken), *handling, *(overrides or [])]
    resolved = resolve(recipe, profile or natural_profile(recipe, changes), changes)
    folder = out or Path("runs") / f"{resolved.name}-{resolved.data.name}-seed{resolved.seed}"
    print_results([train_recipe(resolved, folder, sets)])
    typer.echo(f"in {folder}")


@app.command()
def resume(run: RunPath, sets: Sets = None, on_divergence: OnDivergence = None) -> None:
    """Go on with an interrupted run, as if it had never stopped."""
    from gratis.run import resume as resume_run

    print_results([resume_run(run, sets, divergence_overrides(on_divergence))])


@app.command()
def timing(
    recipe: RecipeName,
    overrides: Overrides = None,
    data: DataName = None,
    data_root: DataRoot = None,
    profile: ProfileName = None,
    seconds: Annotated[float, typer.Option(help="How long to measure.", min=1)] = 20,
    skip_broken: SkipBroken = False,
) -> None:
    """Say where the time of a training step goes, and how near it is to the bare arithmetic."""
    from gratis.recipe import resolve
    from gratis.run import time_recipe

    changes = [*data_overrides(data, data_root, skip_broken), *(overrides or [])]
    resolved = resolve(recipe, profile or natural_profile(recipe, changes), changes)
    print_timing(resolved.title, time_recipe(resolved, seconds))


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="The folder of a run; a timm model (with --weights); an ONNX file; or "
            "package.module:function.",
        ),
    ],
    overrides: Overrides = None,
    data: DataName = None,
    data_root: DataRoot = None,
    skip_broken: SkipBroken = False,
    weights: Annotated[
        Path | None,
        typer.Option(help="The local weights of a timm model.", metavar="FILE"),
    ] = None,
    input_size: Annotated[
        int | None,
        typer.Option(help="Pixels that a timm model wants; the data's if unsaid.", min=1),
    ] = None,
    sets: Sets = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="paper, transfer, table, standard, autoattack or full; see docs/attacks.md.",
            metavar="NAME",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="The folder for the results, if MODEL is no run; evaluations/NAME if unsaid.",
            metavar="DIR",
        ),
    ] = None,
    from_examples: Annotated[
        Path | None,
        typer.Option(
            "--from-examples",
            help="Only score the adversarial examples in this file again.",
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Measure a run anew, or any other model: clean, geometric and attacked accuracy.

    With --sets also on the baseline's transfer sets. Of a run, only evaluate.* keys can change.
    Interrupt it and run it again as you like: what is finished is not repeated.
    """
    from gratis.run import ModelSource, evaluate_external, evaluate_run, rescore_run

    if from_examples is not None:
        typer.echo(rescore_run(Path(model), from_examples))
        return
    origin = ModelSource(model, weights, input_size)
    on = data_overrides(data, data_root, skip_broken)
    changes = [*on, *([f"evaluate.suite={suite}"] if suite else []), *(overrides or [])]
    if origin.kind == "run":
        refuse_beside_run(data=data, data_root=data_root, out=out, input_size=input_size)
        results = evaluate_run(Path(model), sets, changes)
    else:
        results = evaluate_external(origin, changes, sets, out)
    print_results([results])
    print_tasks(results)
    print_checks(results)


@app.command()
def perturb(
    baseline: Annotated[
        Path, typer.Argument(metavar="RUN", help="The run whose gradients make the sets.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder for the sets.", metavar="DIR")],
) -> None:
    """Make the frozen perturbed validation sets: geometric, transfer and fgsm_transfer."""
    from gratis.run import build_sets

    build_sets(baseline, out)
    typer.echo(f"in {out}")


@app.command()
def reproduce(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ROW]... [KEY=VALUE]...",
            help="Only these rows; changes to every row that has the key.",
        ),
    ] = None,
    profile: Annotated[str, typer.Option("--profile", metavar="NAME", help=PROFILE)] = "digits",
    data_root: DataRoot = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where everything goes.", metavar="DIR")
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds of each row.", min=1)] = 1,
    only: Annotated[list[str] | None, typer.Option(help="Only this row; may come again.")] = None,
    on_divergence: OnDivergence = None,
    skip_broken: SkipBroken = False,
) -> None:
    """Rebuild the paper's Table 1 and Figure 1, with everything they leave out.

    Trains what is missing, measures every row on the same frozen sets, and writes table.md,
    table.csv, paired.md, results.json and figure1.png. Interrupt it and run it again as you like.
    """
    from gratis.run import reproduce as reproduce_rows
    from gratis.run import rows_of

    given = overrides or []
    named = [*(only or []), *(word for word in given if "=" not in word)]
    handling = divergence_overrides(on_divergence)
    data_changes = data_overrides(None, data_root, skip_broken)
    changes = [*data_changes, *handling, *(word for word in given if "=" in word)]
    baseline, rows = rows_of(profile, named, changes)
    folder = out or Path("out") / Path(profile).stem
    results = reproduce_rows(baseline, rows, folder, seeds)
    write_report(results, rows, folder, seeds)
    print_results(results)
    typer.echo(f"in {folder}: table.md, table.csv, results.json, figure1.png, paired.md")


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Folders of runs, of measured models, or of several of them."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder for the report.", metavar="DIR")
    ] = None,
    show: Annotated[
        list[str] | None,
        typer.Option(help="Show images of this recipe; repeatable.", metavar="RECIPE"),
    ] = None,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="With images and classes, or without.")
    ] = True,
) -> None:
    """Write a page about what was measured: report.html in one file, and report.md with images.

    It goes to DIR, or into the folder 'report' beside what is in the first RUN. Without --show the
    images are those of the most robust recipe, the baseline and one with a denoiser.
    """
    from gratis.report import choose, read_runs, write_page

    found = read_runs(runs)
    chosen = choose(found.runs, show or []) if images else []
    folder = out or runs[0] / "report"
    write_page(found, chosen, folder)
    typer.echo(f"in {folder}: report.html, report.md")


@app.command()
def data(
    name: Annotated[
        str, typer.Argument(help="digits, tiny-imagenet, cifar10, cifar100, or folder:PATH.")
    ] = "digits",
    data_root: DataRoot = None,
    skip_broken: SkipBroken = False,
    overrides: Overrides = None,
) -> None:
    """Fetch, check and decode a data set, and say what is in it."""
    from gratis.data import load
    from gratis.recipe import resolve_data

    settings = [*data_overrides(name, data_root, skip_broken), *(overrides or [])]
    typer.echo(load(resolve_data(settings), check=True).describe())
