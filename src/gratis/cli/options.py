"""Arguments and options that several commands share, and what they mean as overrides."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gratis.errors import GratisError

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
SkipBroken = Annotated[
    bool,
    typer.Option(
        "--skip-broken-images", help="Leave out images that cannot be read, and list them."
    ),
]
PROFILE = (
    "Sizes for a data set and machine: digits, tiny-imagenet-small, tiny-imagenet, "
    "tiny-imagenet-scratch, record, record-small, or your own .yaml."
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
OnDivergence = Annotated[
    str | None,
    typer.Option(
        "--on-divergence",
        help="When the loss explodes or is no number: 'rollback' to the last checkpoint and go on "
        "with half the learning rate, at most three times (the default), or 'stop'.",
        metavar="stop|rollback",
    ),
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]


def data_overrides(name: str | None, root: Path | None, skip_broken: bool) -> list[str]:
    """Return --data, --data-root and --skip-broken-images as overrides of the recipe."""
    from gratis.data import from_argument
    from gratis.settings import absolute

    chosen: dict[str, str] = dict(from_argument(name)) if name else {}
    if root is not None:
        chosen["root"] = str(absolute(root))
    # JSON strings are YAML strings, whatever is in the path.
    overrides = [f"data.{key}={json.dumps(value)}" for key, value in chosen.items()]
    return [*overrides, "data.skip_broken=true"] if skip_broken else overrides


def divergence_overrides(choice: str | None) -> list[str]:
    """Return --on-divergence as an override of the recipe."""
    return [] if choice is None else [f"train.on_divergence={json.dumps(choice)}"]


def budget_overrides(budget: str | None) -> list[str]:
    """Return --budget as an override of the recipe."""
    return [] if budget is None else [f"train.budget={json.dumps(budget)}"]


def refuse_beside_run(**given: object) -> None:
    """Refuse options that only make sense for a model that is no run.

    Raises:
        GratisError: one of them was given.
    """
    names = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if names:
        raise GratisError(
            f"{', '.join(names)}: a run has its own data and folder; leave it out, or, for a timm "
            "model, name its --weights"
        )


def natural_profile(recipe: str, changes: list[str]) -> str | None:
    """Return the profile for a packaged recipe's data; a recipe of one's own has its own sizes.

    Recipes in a folder have the profile of that name.
    """
    if recipe.endswith((".yaml", ".yml")):
        return None
    if "/" in recipe:
        return recipe.rpartition("/")[0]
    names = [change for change in changes if change.startswith("data.name=")]
    digits = not names or names[-1].partition("=")[2].strip("\"' ") == "digits"
    return "digits" if digits else "tiny-imagenet"
