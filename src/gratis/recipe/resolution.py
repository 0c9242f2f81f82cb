"""From a name to a recipe: its file, then a profile, then ``key=value`` overrides.

A profile resizes recipes for a data set and a machine. It changes what a row has and never adds
an adversary, a term of the objective, an augmentation or a denoiser to a row without one; neither
do overrides that are meant for all rows.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import Field

from gratis.data import DataSettings
from gratis.errors import GratisError
from gratis.recipe.choice import by_word
from gratis.recipe.recipe import Recipe
from gratis.registry import profile_path, recipe_names, recipe_path
from gratis.schedule import SHAPES
from gratis.settings import Kind, Line, Settings, brief, did_you_mean, validate
from gratis.yaml_files import DEEPEST, parse_value, read_yaml

# Parts whose absence from a row says something, so that no profile may add them.
OPTIONAL = ("adversary.", "objective.", "augment", "model.denoiser")


class Profile(Settings):
    """How to resize every row: ``all`` rows, then ``rows`` by name; some may be left out.

    ``recipes`` is the folder of packaged recipes whose rows these are; those of the paper's table
    lie at the top.
    """

    title: Line
    recipes: str = ""
    all: dict[str, Any] = Field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = Field(default_factory=dict)
    leave_out: tuple[str, ...] = ()


def load_profile(name: str) -> Profile:
    """Return a packaged profile, or the user's own: a path that ends in .yaml.

    Raises:
        GratisError: there is no such profile, or a key in it is wrong.
    """
    path = profile_path(name)
    return validate(Profile, read_yaml(path), str(path))


def resolve(name: str, profile: str | None = None, overrides: Iterable[str] = ()) -> Recipe:
    """Return recipe ``name``, resized by ``profile``, with ``key=value`` overrides.

    Raises:
        GratisError: no such recipe or profile, or wrong keys or values: all of them at once.
    """
    content = _resized(name, profile)
    for override in _parse_overrides(overrides):
        content = merge(content, override)
    return validate(Recipe, content, f"recipe {name}")


def resolve_rows(profile: str, overrides: Sequence[str] = ()) -> list[Recipe]:
    """Return all rows of a profile, in the table's order; an override changes those that have it.

    Raises:
        GratisError: no such profile, wrong keys or values, or an override that no row has.
    """
    sizes = load_profile(profile)
    rows = {row_name(name): name for name in recipe_names(sizes.recipes)}
    if not rows:
        raise GratisError(f"profile {profile}: recipes: no packaged recipes in {sizes.recipes!r}")
    _refuse_unknown("row to leave out", sizes.leave_out, list(rows))
    _refuse_unknown("row to resize", sizes.rows, list(rows))
    contents = {r: _resized(n, profile) for r, n in rows.items() if r not in sizes.leave_out}
    for text, override in zip(overrides, _parse_overrides(overrides), strict=True):
        unreachable = _nest(text.partition("=")[0], object())
        if all(merge(c, unreachable, adds=False) == c for c in contents.values()):
            raise GratisError(f"{text}: no row has this key")
        contents = {n: merge(c, override, adds=False) for n, c in contents.items()}
    return [validate(Recipe, content, f"recipe {name}") for name, content in contents.items()]


def choose_rows(rows: Sequence[Recipe], only: Sequence[str]) -> list[Recipe]:
    """Return the rows named in ``only``, or all of them if it is empty.

    A recipe's name in its folder will do as well.

    Raises:
        GratisError: a name is not among the rows.
    """
    only = [row_name(name) for name in only]
    _refuse_unknown("row", only, [row.name for row in rows])
    return [row for row in rows if not only or row.name in only]


def resolve_settings(kind: type[Kind], overrides: Iterable[str], source: str) -> Kind:
    """Return the settings of ``kind`` that ``key=value`` overrides of its defaults mean.

    Raises:
        GratisError: wrong keys or values; ``source`` says of what.
    """
    return validate(kind, _merged(overrides), source)


def resolve_data(overrides: Iterable[str]) -> DataSettings:
    """Return the data settings that ``data.key=value`` overrides mean.

    Raises:
        GratisError: wrong keys or values.
    """
    content = _merged(overrides)
    _refuse_unknown("key", content, ["data"])
    return validate(DataSettings, content.get("data"), "data")


def with_overrides(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """Return a run's recipe with ``key=value`` overrides.

    Raises:
        GratisError: wrong keys or values.
    """
    content = recipe.model_dump(mode="json", exclude_none=True)
    for override in _parse_overrides(overrides):
        content = merge(content, override)
    return validate(Recipe, content, f"recipe {recipe.name}")


def with_evaluation(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """Return a trained recipe with ``evaluate.key=value`` overrides.

    Raises:
        GratisError: wrong keys or values, or one of another part.
    """
    changed = with_overrides(recipe, overrides)
    if changed.model_copy(update={"evaluate": recipe.evaluate}) != recipe:
        raise GratisError("a trained run can only change evaluate.* keys; train into a new folder")
    return changed


def merge(
    base: dict[str, Any], over: dict[str, Any], *, adds: bool = True, path: str = ""
) -> dict[str, Any]:
    """Return ``base`` with ``over`` written into it, key by key.

    A schedule is one value and replaced as a whole. Without ``adds`` the optional parts that
    ``base`` lacks stay out.
    """
    merged = dict(base)
    for key, value in over.items():
        old, here = base.get(key), f"{path}{key}"
        if old is None and not adds and (here in OPTIONAL or path in OPTIONAL):
            continue
        if isinstance(value, dict) and not _is_schedule(value) and (old or not adds):
            inner = old if isinstance(old, dict) and not _is_schedule(old) else {}
            value = merge(inner, value, adds=adds, path=f"{here}.")
        merged[key] = value
    return merged


def row_name(name: str) -> str:
    """Return the name of a packaged recipe as a row, which is the name of a folder too."""
    return name.replace("/", "-")


def _resized(name: str, profile: str | None) -> dict[str, Any]:
    path = recipe_path(name)
    own = name.endswith((".yaml", ".yml"))
    content = {"name": path.stem if own else row_name(name)} | _spelled_out(read_yaml(path))
    if profile is not None:
        sizes = load_profile(profile)
        for size in (sizes.all, sizes.rows.get(str(content["name"]), {})):
            content = merge(content, _spelled_out(size), adds=False)
    return content


def _parse_overrides(overrides: Iterable[str]) -> list[dict[str, Any]]:
    texts = list(overrides)
    wrong = [t for t in texts if not t.partition("=")[1] or not all(_keys(t.partition("=")[0]))]
    if wrong:
        raise GratisError(f"not of the form key=value: {', '.join(map(brief, wrong))}")
    if deep := [t for t in texts if len(_keys(t.partition("=")[0])) > DEEPEST]:
        raise GratisError(f"nested too deeply: {', '.join(map(brief, deep))}")
    return [_nest(t.partition("=")[0], parse_value(t, t.partition("=")[2])) for t in texts]


def _merged(overrides: Iterable[str]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for override in _parse_overrides(overrides):
        content = merge(content, override)
    return content


def _keys(dotted: str) -> list[str]:
    return dotted.split(".")


def _nest(dotted: str, value: object) -> dict[str, Any]:
    for key in reversed(_keys(dotted)):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def _refuse_unknown(what: str, given: Iterable[str], known: list[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        names = ", ".join(map(repr, unknown))
        raise GratisError(f"no {what} {names}{did_you_mean(unknown[0], known)}")


def _spelled_out(content: dict[str, Any]) -> dict[str, Any]:
    choices = content.keys() & {"adversary", "objective"}
    return content | {part: by_word(content[part]) for part in choices}


def _is_schedule(value: dict[str, Any]) -> bool:
    """Return whether a value is a schedule; ``{steps: 7}`` is not, but settings of PGD."""
    return any(word in SHAPES and isinstance(body, dict) for word, body in value.items())
