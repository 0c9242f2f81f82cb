"""Where the numbers come from: machines, versions and resolved recipes."""

from collections.abc import Sequence
from typing import NamedTuple

from gratis.report.rows import Row
from gratis.report.runs import Run
from gratis.yaml_files import dump_yaml


class Place(NamedTuple):
    """A machine and its software, with the folders of the runs that it measured."""

    commit: str
    device: str
    versions: str
    runs: Sequence[str]


class ResolvedRecipe(NamedTuple):
    """A recipe with every default written out, as YAML, but for the seed of several runs."""

    title: str
    yaml: str


def places(runs: Sequence[Run]) -> list[Place]:
    """Return where the runs were measured, in the order of first appearance."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for run in runs:
        results = run.results
        versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
        key = (results.commit or "unknown", results.device, versions or "unknown")
        found.setdefault(key, []).append(str(run.path))
    return [Place(*key, measured) for key, measured in found.items()]


def recipes(rows: Sequence[Row]) -> list[ResolvedRecipe]:
    """Return the resolved recipe of every row that has one."""
    return [_recipe(row) for row in rows if row.first.resolved]


def _recipe(row: Row) -> ResolvedRecipe:
    several = len(row.runs) > 1
    seeds = ", ".join(str(run.seed) for run in row.runs)
    content = {k: v for k, v in row.first.resolved.items() if not (several and k == "seed")}
    title = f"{row.first.title}, {'seeds' if several else 'seed'} {seeds}"
    return ResolvedRecipe(title, dump_yaml(content))
