"""Which runs show images on a page."""

from collections.abc import Sequence

from gratis.errors import GratisError
from gratis.report.rows import Row, group
from gratis.report.runs import Run, setting
from gratis.report.verdict import ranked
from gratis.settings import did_you_mean


def choose(runs: Sequence[Run], names: Sequence[str]) -> list[Run]:
    """Return the first run of each of the recipes named, whose images a page shows.

    Without names: the most robust recipe, the baseline and the first with a denoiser. A model
    that was made elsewhere is none of them: the page cannot rebuild it.

    Raises:
        GratisError: there is no run of a named recipe, or it was made elsewhere.
    """
    firsts: dict[str, Run] = {}
    for run in runs:
        firsts.setdefault(run.results.recipe, run)
    unknown = [name for name in names if name not in firsts]
    if unknown:
        hint = did_you_mean(unknown[0], list(firsts))
        raise GratisError(f"no run of the recipe {unknown[0]!r} is among these{hint}")
    if external := [name for name in names if firsts[name].results.external]:
        problem = f"{external[0]!r} was made elsewhere, so that no images of it can be shown"
        raise GratisError(f"{problem}; leave out --show {external[0]}")
    chosen = names or _telling(group([r.results for r in runs if not r.results.external]))
    return [run for name, run in firsts.items() if name in chosen]


def _telling(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    denoising = [row for row in rows if setting(row.first, "model", "denoiser") is not None]
    baselines = [row for row in rows if row.first.baseline]
    return [row.first.recipe for row in (ranked(rows)[0], *baselines, *denoising[:1])]
