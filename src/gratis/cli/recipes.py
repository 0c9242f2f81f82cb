"""The commands below ``gratis recipes``."""

from pathlib import Path
from typing import Annotated

import typer

from gratis.cli.base import App
from gratis.cli.options import AsJson, Overrides, ProfileName, RecipeName
from gratis.cli.output import print_json, print_lines
from gratis.errors import GratisError, quoted

recipes_app = App(help="List, show and copy recipes (the configurations of training).")


@recipes_app.command("ls")
def list_recipes(as_json: AsJson = False) -> None:
    """List the recipes, in the order of the paper's table, and the profiles."""
    from gratis.packaged import describe, titles

    if as_json:
        print_json({"recipes": titles("recipe"), "profiles": titles("profile")})
    else:
        print_lines(describe())


@recipes_app.command("show")
def show_recipe(
    recipe: RecipeName,
    overrides: Overrides = None,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Print a recipe with every default written out."""
    from gratis.recipe import default_profile, resolve

    # Recipes in a folder need the profile of that folder.
    sizes = profile or (default_profile(recipe, []) if "/" in recipe else None)
    resolved = resolve(recipe, sizes, overrides or [])
    if as_json:
        print_json(resolved.model_dump(mode="json"))
    else:
        print_lines(resolved.to_yaml(complete=True).rstrip("\n"))


@recipes_app.command("copy")
def copy_recipe(
    recipe: RecipeName,
    to: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, ending in .yaml.")],
    as_json: AsJson = False,
) -> None:
    """Copy a recipe to your own file."""
    from gratis.files import write_text
    from gratis.packaged import recipe_path
    from gratis.recipe.defaults import default_profile
    from gratis.yaml_files import read_text

    if to.exists():
        raise GratisError(f"{to}: exists already; choose another name")
    write_text(to, read_text(recipe_path(recipe)))
    if as_json:
        print_json({"file": str(to)})
        return
    sizes = default_profile(recipe, []) or "digits"
    print_lines(f"in {to}; train it with: gratis train {quoted(to)} --profile {sizes}")
