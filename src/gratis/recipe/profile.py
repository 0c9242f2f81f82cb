"""Profiles: the sizes of all recipes for a data set and a machine."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gratis.packaged import profile_path
from gratis.renames import current, with_current_keys
from gratis.settings import Line, Settings, validate
from gratis.yaml_files import read_yaml

_RENAMED = {"rows": "by_recipe"}

RowName = Annotated[str, AfterValidator(current)]


class Profile(Settings):
    """How to resize rows.

    A profile changes what a row has. It never adds an adversary, a term of the objective, an
    augmentation or a denoiser to a row without one.

    Attributes:
        title: one line for people.
        recipes: the folder of packaged recipes that are the rows; empty for the paper's table.
        all: changes to every recipe.
        by_recipe: changes to single recipes, by the name of their row.
        leave_out: the rows that ``gratis reproduce`` skips.
    """

    title: Line
    recipes: str = ""
    all: dict[str, Any] = Field(default_factory=dict)
    by_recipe: dict[RowName, dict[str, Any]] = Field(default_factory=dict)
    leave_out: tuple[RowName, ...] = ()


def load_profile(name: str) -> Profile:
    """Return a packaged profile, or the user's own: a path that ends in .yaml."""
    path = profile_path(name)
    return validate(Profile, with_current_keys(read_yaml(path), _RENAMED), str(path))
