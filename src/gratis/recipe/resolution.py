"""From a name to a recipe: its file, then a profile, then ``key=value`` overrides."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gratis.data import DataSettings
from gratis.errors import GratisError
from gratis.packaged import recipe_names, recipe_path, row_name
from gratis.recipe.draft import Draft
from gratis.recipe.overrides import with_one_length
from gratis.recipe.profile import Profile, load_profile
from gratis.recipe.recipe import Recipe
from gratis.recipe.values import SEPARATOR, vary, with_each_value
from gratis.renames import current
from gratis.settings import Kind, Settings, did_you_mean
from gratis.yaml_files import read_yaml


def parse_recipe(content: Mapping[str, Any], source: str) -> Recipe:
    """Return the recipe that the content of a YAML file means."""
    return _recipe(Draft(dict(content)), source)


def read_recipe(path: Path) -> Recipe:
    """Return the resolved recipe in a run's folder."""
    return parse_recipe(read_yaml(path), str(path))


def resolve(name: str, profile: str | None = None, overrides: Iterable[str] = ()) -> Recipe:
    """Return recipe ``name``, resized by ``profile``, with ``key=value`` overrides.

    Both are packaged ones or paths that end in .yaml; without a profile the recipe keeps its sizes.
    Of several overrides of a key the last one wins. ``train.epochs`` replaces the recipe's budget
    of time.
    """
    draft = _resized(name, None if profile is None else load_profile(profile))
    return _recipe(draft.override_all(with_one_length(overrides)), f"recipe {name}")


def resolve_rows(
    profile: str, overrides: Sequence[str] = (), own: Sequence[str] = ()
) -> list[Recipe]:
    """Return all rows of a profile, in the table's order, and then the user's ``own`` recipes.

    An override changes the rows that have its key; as a profile, it adds no optional part. Several
    values, separated by commas, give a row for each (:func:`vary`). ``own`` are paths that end in
    .yaml, resized as the other rows are.
    """
    sizes = load_profile(profile)
    names = {row_name(name): name for name in recipe_names(sizes.recipes)}
    if not names:
        raise GratisError(f"profile {profile}: recipes: no packaged recipes in {sizes.recipes!r}")
    _refuse_unknown("recipe to leave out", sizes.leave_out, names)
    _refuse_unknown("recipe to resize", sizes.by_recipe, names)
    drafts = {r: _resized(n, sizes) for r, n in names.items() if r not in sizes.leave_out}
    for path in own:
        if (name := own_row_name(path)) in drafts:
            raise GratisError(f"{path}: there is another recipe {name!r}; set another name in it")
        drafts[name] = _resized(path, sizes)
    for text in with_one_length(overrides):
        first, *others = with_each_value(text)
        if others:
            drafts = vary(drafts, [first, *others])
        elif not any([draft.override(first, adds=False) for draft in drafts.values()]):
            raise GratisError(f"{first.text}: no recipe has this key")
    return [_recipe(draft, f"recipe {row}") for row, draft in drafts.items()]


def choose_rows(rows: Sequence[Recipe], only: Sequence[str]) -> list[Recipe]:
    """Return the rows named in ``only``, or all of them if it is empty.

    A name may be that of the row, of its packaged recipe, or a path that ends in .yaml. That of a
    row before an override gave it several values stands for all of them.
    """
    only = [own_row_name(n) if is_file(n) else row_name(current(n)) for n in only]
    _refuse_unknown("recipe", only, [name for row in rows for name in _names(row)])
    return [row for row in rows if not only or not _names(row).isdisjoint(only)]


def _names(row: Recipe) -> set[str]:
    return {row.name, row.name.partition(SEPARATOR)[0]}


def is_file(name: str) -> bool:
    """Return whether the name of a recipe is a path of the user's own."""
    return name.endswith((".yaml", ".yml"))


def own_row_name(path: str) -> str:
    """Return the name of the row that a recipe of the user's own is."""
    file = recipe_path(path)
    return str(read_yaml(file).get("name", file.stem))


def resolve_settings(kind: type[Kind], overrides: Iterable[str], source: str) -> Kind:
    """Return the settings of ``kind`` that ``key=value`` overrides of its defaults mean."""
    return Draft({}).override_all(overrides).validated(kind, source)


class _DataOnly(Settings):
    data: DataSettings


def resolve_data(overrides: Iterable[str]) -> DataSettings:
    """Return the data settings that ``data.key=value`` overrides mean."""
    return resolve_settings(_DataOnly, overrides, "overrides").data


def with_overrides(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """Return a run's recipe with ``key=value`` overrides."""
    draft = Draft(recipe.model_dump(mode="json", exclude_none=True))
    return _recipe(draft.override_all(overrides), f"recipe {recipe.name}")


def with_evaluation(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """Return a trained recipe with ``evaluate.key=value`` overrides."""
    changed = with_overrides(recipe, overrides)
    if changed.model_copy(update={"evaluate": recipe.evaluate}) != recipe:
        remedy = "train into a new folder"
        if changed.model_copy(update={"evaluate": recipe.evaluate, "data": recipe.data}) == recipe:
            remedy = "name where its data is now with --data-root DIR, or other data with --data"
        raise GratisError(f"a trained run can only change evaluate.* keys; {remedy}")
    return changed


def _resized(name: str, sizes: Profile | None) -> Draft:
    path = recipe_path(name)
    row = path.stem if is_file(name) else row_name(current(name))
    draft = Draft({"name": row} | read_yaml(path))
    if sizes is not None:
        draft.resize(sizes.all)
        draft.resize(sizes.by_recipe.get(str(draft.content["name"]), {}))
    return draft


def _recipe(draft: Draft, source: str) -> Recipe:
    return draft.validated(Recipe, source).with_norms().with_data_size()


def _refuse_unknown(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    if unknown := [name for name in given if name not in known]:
        names = ", ".join(map(repr, unknown))
        raise GratisError(f"no {what} {names}{did_you_mean(unknown[0], known)}")
