"""Which profile a recipe gets where none is named."""

from collections.abc import Sequence


def default_profile(recipe: str, changes: Sequence[str]) -> str | None:
    """Return the profile for a packaged recipe's data, or ``None`` for a recipe file.

    A recipe file has its own sizes. Recipes in a folder have the profile of that name.

    Args:
        recipe: the name of a packaged recipe, or a path that ends in .yaml.
        changes: ``key=value``; ``data.name`` decides.
    """
    if recipe.endswith((".yaml", ".yml")):
        return None
    if "/" in recipe:
        return recipe.rpartition("/")[0]
    names = [change for change in changes if change.startswith("data.name=")]
    digits = not names or names[-1].partition("=")[2].strip("\"' ") == "digits"
    return "digits" if digits else "tiny-imagenet"
