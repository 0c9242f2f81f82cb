"""The page: one HTML file that asks the network for nothing, and the same as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from gratis.files import atomic_folder
from gratis.report.charts import Chart
from gratis.report.checks import CheckedRun, checked_run
from gratis.report.classes import rankings
from gratis.report.curves import training_chart
from gratis.report.figures import figure1_chart, figure1_notes, in_the_paper
from gratis.report.gallery import Gallery, gallery
from gratis.report.markup import fence, plain, visible
from gratis.report.provenance import places, recipes
from gratis.report.rows import Row, group
from gratis.report.runs import Found, Run
from gratis.report.strength import strength_chart
from gratis.report.table import header
from gratis.report.tasks import SuiteView, suite_view
from gratis.report.verdict import attack_name, judge, ranked, strongest
from gratis.report.view import table_view

HTML, MARKDOWN, _IMAGES = "report.html", "report.md", "images"
_CONTENT = frozenset({HTML, MARKDOWN, _IMAGES})


def write_page(found: Found, chosen: Sequence[Run], folder: Path) -> None:
    """Write ``report.html``, ``report.md`` and the latter's ``images`` into ``folder``.

    The folder appears whole or not at all; an earlier report in it is replaced.

    Args:
        found: the runs, from :func:`gratis.report.read_runs`.
        chosen: the runs whose classes and sample images the page shows.
        folder: where the page goes.

    Raises:
        GratisError: the folder holds something else, or cannot be written.
    """
    content = _content(found, chosen)
    with atomic_folder(folder, replaces=_CONTENT) as partial:
        for name, escape in ((HTML, True), (MARKDOWN, False)):
            text = _environment(escape).get_template(f"{name}.jinja").render(content)
            (partial / name).write_text(text, encoding="utf-8")
        (partial / _IMAGES).mkdir()
        for name, image in _images(content).items():
            (partial / _IMAGES / f"{name}.png").write_bytes(image)


def _content(found: Found, chosen: Sequence[Run]) -> dict[str, Any]:
    results = [run.results for run in found.runs]
    rows = group(results)
    metric = strongest(rows)
    shown = [(run, run.sample_images) for run in chosen if run.sample_images is not None]
    images = {len(run.sample_images.labels) for run in found.runs if run.sample_images is not None}
    verdict = judge(rows, found.runs, images.pop() if len(images) == 1 else None)
    return {
        "facts": header(results),
        "verdict": verdict,
        "unmeasured": [str(path) for path in found.unmeasured],
        "table": table_view(rows, verdict.best),
        "equal_compute": not any(row.first.external for row in ranked(rows)),
        "checked": _checked(found.runs),
        "unchecked": [str(run.path) for run in found.runs if not run.results.checks],
        "figure1": figure1_chart(results),
        "figure1_notes": figure1_notes(results),
        "in_the_paper": in_the_paper(rows),
        "strength": strength_chart(rows),
        "suites": _suites(rows, found.runs),
        "curves": _curves(rows, found.runs),
        "rolled_back": any(line.kind == "rollback" for run in found.runs for line in run.log),
        "no_curves": [
            str(run.path) for run in found.runs if not run.log and not run.results.external
        ],
        "attack": attack_name(metric, results[0]),
        "classes": [(_title(run), rankings(run, samples, metric)) for run, samples in shown],
        "galleries": [
            gallery(number, _title(run), samples) for number, (run, samples) in enumerate(shown, 1)
        ],
        "no_images": [str(run.path) for run in chosen if run.sample_images is None],
        "places": places(found.runs),
        "runs": found.runs,
        "recipes": recipes(rows),
        "elsewhere": any(result.external for result in results),
    }


def _curves(rows: Sequence[Row], runs: Sequence[Run]) -> list[tuple[str, Chart]]:
    """Return the title and the training chart of every row that has one."""
    charts = []
    for number, row in enumerate(rows, 1):
        of_row = [run for run in runs if any(run.results is each for each in row.runs)]
        chart = training_chart(of_row, f"training-{number}", row.first.title)
        if chart is not None:
            charts.append((row.first.title, chart))
    return charts


def _checked(runs: Sequence[Run]) -> list[CheckedRun]:
    """Return the sanity checks of every run that has some."""
    views = (checked_run(run, _title(run)) for run in runs)
    return [view for view in views if view is not None]


def _suites(rows: Sequence[Row], runs: Sequence[Run]) -> list[SuiteView]:
    """Return the tasks of every row's first run, where they go beyond the table."""
    firsts = [next(run for run in runs if run.results is row.first) for row in rows]
    views = (suite_view(run, _title(run)) for run in firsts)
    return [view for view in views if view is not None]


def _images(content: Mapping[str, Any]) -> dict[str, bytes]:
    charts = [content["figure1"], *(chart for _, chart in content["curves"])]
    charts += [content["strength"]] if content["strength"] else []
    galleries: Sequence[Gallery] = content["galleries"]
    pictures = [p for of_run in galleries for line in of_run.lines for p in line.pictures]
    return {image.name: image.png for image in (*charts, *pictures)}


def _title(run: Run) -> str:
    return f"{run.results.title}, seed {run.results.seed}"


def _environment(escape: bool) -> jinja2.Environment:
    filters: dict[str, Callable[..., str]] = {"plain": plain, "fence": fence}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gratis.report"),
        autoescape=escape,
        finalize=visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment
