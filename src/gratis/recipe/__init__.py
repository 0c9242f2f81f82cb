"""Recipes: their YAML, the profiles that resize them, and overrides."""

from gratis.recipe.defaults import default_profile, resolve_by_default
from gratis.recipe.harden import HardenSettings
from gratis.recipe.profile import load_profile
from gratis.recipe.recipe import Recipe
from gratis.recipe.resolution import (
    choose_rows,
    is_file,
    parse_recipe,
    read_recipe,
    resolve,
    resolve_data,
    resolve_rows,
    resolve_settings,
    with_evaluation,
    with_overrides,
)

__all__ = [
    "HardenSettings",
    "Recipe",
    "choose_rows",
    "default_profile",
    "is_file",
    "load_profile",
    "parse_recipe",
    "read_recipe",
    "resolve",
    "resolve_by_default",
    "resolve_data",
    "resolve_rows",
    "resolve_settings",
    "with_evaluation",
    "with_overrides",
]
