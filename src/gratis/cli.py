"""The command line: parse, call, print. Heavy imports wait inside the commands."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gratis.errors import GratisError

if TYPE_CHECKING:
    from gratis.recipe import Recipe
    from gratis.results import Results

app = typer.Typer(
    help="Robust image classifiers at the price of ordinary training.",
    epilog="Start with: gratis reproduce",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
recipes_app = typer.Typer(help="List, show and copy the recipes: one a row of the table.")
app.add_typer(recipes_app, name="recipes", no_args_is_help=True)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Changes to the recipe, such as train.epochs=5 or adversary.free.epsilon=4/255.",
    ),
]
RecipeName = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A name from 'gratis recipes ls', or your own .yaml."),
]
DataName = Annotated[
    str | None,
    typer.Option(
        "--data", help="digits, tiny-imagenet, cifar10, cifar100, or folder:PATH.", metavar="NAME"
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data-root", help="The folder that holds the data set.", metavar="DIR"),
]
PROFILE = (
    "Sizes for a data set and machine: digits, tiny-imagenet-small, tiny-imagenet, "
    "tiny-imagenet-scratch, or your own .yaml."
)
ProfileName = Annotated[str | None, typer.Option("--profile", metavar="NAME", help=PROFILE)]
Sets = Annotated[
    Path | None,
    typer.Option(
        "--sets",
        help="A folder of perturbed validation sets, from 'gratis perturb'.",
        metavar="DIR",
    ),
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]


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
) -> None:
    """Train one recipe and measure it.

    Without --profile a packaged recipe gets the sizes for its data: 'digits' for digits, else
    'tiny-imagenet'; a .yaml of your own is taken as it is. The same command goes on where an
    interrupted one stopped.
    """
    from gratis.recipe import resolve
    from gratis.run import train as train_recipe

    changes = [*_data_overrides(data, data_root), *(overrides or [])]
    resolved = resolve(recipe, profile or _natural_profile(recipe, changes), changes)
    folder = out or Path("runs") / f"{resolved.name}-{resolved.data.name}-seed{resolved.seed}"
    _print_results([train_recipe(resolved, folder, sets)])
    typer.echo(f"in {folder}")


@app.command()
def resume(run: RunPath, sets: Sets = None) -> None:
    """Go on with an interrupted run, as if it had never stopped."""
    from gratis.run import resume as resume_run

    _print_results([resume_run(run, sets)])


@app.command()
def evaluate(run: RunPath, overrides: Overrides = None, sets: Sets = None) -> None:
    """Measure a trained run anew: clean, geometric, FGSM and PGD accuracy.

    With --sets also on the baseline's transfer sets. Only evaluate.* keys can change.
    """
    from gratis.run import evaluate_run

    _print_results([evaluate_run(run, sets, overrides or [])])


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
) -> None:
    """Rebuild the paper's Table 1 and Figure 1, with everything they leave out.

    Trains what is missing, measures every row on the same frozen sets, and writes table.md,
    table.csv, paired.md, results.json and figure1.png. Interrupt it and run it again as you like.
    """
    from gratis.run import reproduce as reproduce_rows
    from gratis.run import rows_of

    given = overrides or []
    named = [*(only or []), *(word for word in given if "=" not in word)]
    changes = [*_data_overrides(None, data_root), *(word for word in given if "=" in word)]
    baseline, rows = rows_of(profile, named, changes)
    folder = out or Path("out") / Path(profile).stem
    results = reproduce_rows(baseline, rows, folder, seeds)
    _report(results, folder)
    _compare(rows, folder, seeds)
    _print_results(results)
    typer.echo(f"in {folder}: table.md, table.csv, results.json, figure1.png, paired.md")


@app.command()
def data(
    name: Annotated[
        str, typer.Argument(help="digits, tiny-imagenet, cifar10, cifar100, or folder:PATH.")
    ] = "digits",
    data_root: DataRoot = None,
    overrides: Overrides = None,
) -> None:
    """Fetch, check and decode a data set, and say what is in it."""
    from gratis.data import load
    from gratis.recipe import resolve_data

    settings = [*_data_overrides(name, data_root), *(overrides or [])]
    typer.echo(load(resolve_data(settings)).describe())


@recipes_app.command("ls")
def list_recipes() -> None:
    """List the recipes in the table's order, and the profiles."""
    from gratis.catalogue import describe

    typer.echo(describe())


@recipes_app.command("show")
def show_recipe(
    recipe: RecipeName, overrides: Overrides = None, profile: ProfileName = None
) -> None:
    """Print a recipe with every default written out."""
    from gratis.recipe import resolve

    typer.echo(resolve(recipe, profile, overrides or []).to_yaml(), nl=False)


@recipes_app.command("copy")
def copy_recipe(
    recipe: RecipeName,
    to: Annotated[Path, typer.Argument(metavar="FILE", help="Your own .yaml.")],
) -> None:
    """Copy a recipe to a file of your own, to change and train."""
    from gratis.catalogue import recipe_path
    from gratis.files import write_text

    if to.exists():
        raise GratisError(f"{to}: exists already; choose another name")
    write_text(to, recipe_path(recipe).read_text(encoding="utf-8"))
    typer.echo(f"in {to}; train it with: gratis train {to}")


def _data_overrides(name: str | None, root: Path | None) -> list[str]:
    """Return --data and --data-root as overrides of the recipe."""
    import json

    from gratis.data import from_argument

    chosen: dict[str, str] = dict(from_argument(name)) if name else {}
    if root is not None:
        chosen["root"] = str(root.expanduser().absolute())
    # JSON strings are YAML strings, whatever is in the path.
    return [f"data.{key}={json.dumps(value)}" for key, value in chosen.items()]


def _report(results: "list[Results]", folder: Path) -> None:
    from gratis.report import figure1, write_tables

    write_tables(results, folder)
    figure1(results, folder / "figure1.png")


def _compare(rows: "list[Recipe]", folder: Path, seeds: int) -> None:
    """Write how each row differs from the row that it builds on, image by image."""
    from gratis.files import write_text
    from gratis.report import Comparison, compare, paired_to_markdown
    from gratis.run import correct_by_seed

    by_name = {row.name: row for row in rows}
    correct = {row.name: correct_by_seed(row, folder, seeds) for row in rows}
    comparisons = [
        Comparison(row.title, by_name[base].title, compare(correct[row.name], correct[base]))
        for row in rows
        if (base := row.builds_on) in by_name and base is not None
    ]
    # Always written: an earlier comparison of other rows must not stay beside this table.
    write_text(folder / "paired.md", paired_to_markdown(comparisons))


def _print_results(results: "list[Results]") -> None:
    from rich.console import Console

    from gratis.report import to_terminal

    # A pipe has no width of its own, and the default would break the table.
    console = Console()
    console.width = max(console.width, 120)
    console.print(to_terminal(results))


def _natural_profile(recipe: str, changes: list[str]) -> str | None:
    """Return the profile for a packaged recipe's data; a recipe of one's own has its own sizes."""
    if recipe.endswith((".yaml", ".yml")):
        return None
    names = [change for change in changes if change.startswith("data.name=")]
    digits = not names or names[-1].partition("=")[2].strip("\"' ") == "digits"
    return "digits" if digits else "tiny-imagenet"


def main() -> None:
    """Run the command line: one clear line and exit code 2 for what the user can mend."""
    try:
        app()
    except GratisError as error:
        _complain(str(error), error.exit_code)
    except OSError as error:
        _complain(f"{error.filename or 'input or output'}: {error.strerror or error}", 2)
    except RuntimeError as error:
        # torch's own class, without importing torch for it.
        if type(error).__name__ != "OutOfMemoryError":
            raise
        _complain("out of memory; lower train.batch_size or evaluate.batch_size", 2)


def _complain(message: str, exit_code: int) -> None:
    typer.secho(f"error: {message}" if exit_code == 2 else message, err=True)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
