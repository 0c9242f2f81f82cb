"""Refuse unknown names before torch is imported, which takes seconds."""

from gratis.errors import GratisError, printable
from gratis.settings import did_you_mean

# The data sources; those in gratis.data cannot be listed without torch.
DATA = ("cifar10", "cifar100", "csv", "digits", "folder", "hf", "tiny-imagenet", "wds")
_WRITTEN = {"csv": "csv:FILE", "folder": "folder:PATH", "hf": "hf:NAME", "wds": "wds:PATTERN"}


def refuse_typos(
    recipe: str | None = None, profile: str | None = None, data: str | None = None
) -> None:
    """Check the names of a recipe, a profile and a data set."""
    from gratis.packaged import profile_path, recipe_path

    if recipe is not None:
        recipe_path(recipe)
    if profile is not None:
        profile_path(profile)
    # A folder or list has a message of its own, which needs the path.
    if data is not None and ":" not in data and "/" not in data and data not in DATA:
        _refuse_data(data)


def _refuse_data(name: str) -> None:
    from pathlib import Path

    if not Path(name).is_dir() and not name.lower().endswith(".csv"):
        hint = did_you_mean(name, [_WRITTEN.get(known, known) for known in DATA])
        raise GratisError(f"no data set {printable(name)!r}{hint}")
