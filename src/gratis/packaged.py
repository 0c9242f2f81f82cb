"""The packaged recipes, profiles and studies, by name. This module does not import torch."""

from importlib import resources
from pathlib import Path

from gratis.errors import GratisError, file_error
from gratis.renames import current
from gratis.settings import did_you_mean
from gratis.yaml_files import read_yaml

_FOLDERS = {"recipe": "recipes", "profile": "profiles", "study": "studies"}


def recipe_names(folder: str | None = None) -> list[str]:
    """Return the names of the packaged recipes, in the order of their tables.

    Args:
        folder: the folder with the recipes of one table, such as ``record``; ``""`` is the paper's
            table. Default: all tables, one after the other.
    """
    order = {n: read_yaml(path).get("order", 0) for n, path in _packaged("recipes").items()}
    tables = {name: name.rpartition("/")[0] for name in order}
    wanted = [name for name in order if folder is None or tables[name] == folder]
    return sorted(wanted, key=lambda name: (tables[name], order[name]))


def row_name(name: str) -> str:
    """Return the name of a packaged recipe as a row of its table, and as a folder of runs."""
    return name.replace("/", "-")


def profile_names() -> list[str]:
    """Return the names of the packaged profiles."""
    return sorted(_packaged("profiles"))


def study_names() -> list[str]:
    """Return the names of the packaged studies."""
    return sorted(_packaged("studies"))


def recipe_path(name: str) -> Path:
    """Return the file of a packaged recipe, or of the user's own: a path that ends in .yaml."""
    return _find("recipe", current(name))


def profile_path(name: str) -> Path:
    """Return the file of a packaged profile, or of the user's own: a path that ends in .yaml."""
    return _find("profile", name)


def study_path(name: str) -> Path:
    """Return the file of a packaged study, or of the user's own: a path that ends in .yaml."""
    return _find("study", name)


def describe_studies() -> str:
    """Return the names and titles of the packaged studies, one a line."""
    return "\n".join(f"{name:16}{_title(study_path(name))}" for name in study_names())


def describe() -> str:
    """Return the names and titles of the packaged recipes and profiles, one a line."""
    lines = ["recipes"]
    lines += [f"  {name:26}{_title(recipe_path(name))}" for name in recipe_names()]
    lines += ["profiles"]
    lines += [f"  {name:26}{_title(profile_path(name))}" for name in profile_names()]
    return "\n".join(lines)


def titles(kind: str) -> dict[str, str]:
    """Return the titles of the packaged recipes, profiles or studies, by name, in their order.

    ``kind`` is ``recipe``, ``profile`` or ``study``.
    """
    listed = {"recipe": recipe_names, "profile": profile_names, "study": study_names}[kind]()
    return {name: _title(_find(kind, name)) for name in listed}


def _title(path: Path) -> str:
    return str(read_yaml(path).get("title", ""))


def _packaged(folder: str) -> dict[str, Path]:
    root = Path(str(resources.files("gratis"))) / folder
    return {p.relative_to(root).with_suffix("").as_posix(): p for p in sorted(root.rglob("*.yaml"))}


def _find(kind: str, name: str) -> Path:
    packaged = _packaged(_FOLDERS[kind])
    if name in packaged:
        return packaged[name]
    if name.endswith((".yaml", ".yml")):
        if Path(name).is_file():
            return Path(name)
        raise file_error(Path(name), f"no such {kind} file")
    raise GratisError(f"no {kind} {name!r}{did_you_mean(name, list(packaged))}")
