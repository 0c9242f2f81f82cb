"""Which runs show images on a page."""

from collections.abc import Sequence

from gratis.errors import GratisError, file_error
from gratis.report.rows import Row, group
from gratis.report.runs import Run, setting
from gratis.report.verdict import ranked
from gratis.settings import did_you_mean


def choose(runs: Sequence[Run], names: Sequence[str]) -> list[Run]:
    """Return the first run of each of the named recipes, to show its images on a page.

    Without names: the most robust recipe, the baseline, and the first with a denoiser.

    Raises:
        GratisError: there is no run of a named recipe, or no sample images of it are stored.
    """
    firsts: dict[str, Run] = {}
    for run in runs:
        firsts.setdefault(run.results.recipe, run)
    for name in names:
        if name not in firsts:
            hint = did_you_mean(name, list(firsts))
            raise GratisError(f"no run of the recipe {name!r} is among these{hint}")
        if firsts[name].sample_images is None:
            problem = f"no sample images of {name!r} are stored"
            raise file_error(firsts[name].path, problem, "evaluate it again")
    chosen = names or _most_telling(group([run.results for run in runs]))
    return [run for name, run in firsts.items() if name in chosen]


def _most_telling(rows: Sequence[Row]) -> list[str]:
    denoising = [row for row in rows if setting(row.first, "model", "denoiser") is not None]
    baselines = [row for row in rows if row.first.baseline]
    return [row.first.recipe for row in (ranked(rows)[0], *baselines, *denoising[:1])]
