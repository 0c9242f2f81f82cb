"""The report page: one HTML file that loads nothing, and the same as Markdown with images."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from gratis.files import atomic_folder
from gratis.report.bar_chart import figure1_chart, figure1_notes, in_the_paper
from gratis.report.charts import Chart
from gratis.report.gallery import Picture, class_rankings, gallery
from gratis.report.hardened import frontier_chart
from gratis.report.line_charts import epsilon_chart, training_chart
from gratis.report.model_choice import choices
from gratis.report.results_table import METRIC_MEANINGS, header, narrow_table
from gratis.report.rows import WORST, Row, group
from gratis.report.runs import Found, Run
from gratis.report.scatter import scatter_chart
from gratis.report.sections import checks_table, remedies, runs_table, suite_tables
from gratis.report.side_by_side import SideBySide, side_by_side
from gratis.report.summary import attack_name, differing, ranked, strongest, summarise
from gratis.report.table import Table, fence, markdown_table, plain, visible
from gratis.yaml_files import dump_yaml

HTML, MARKDOWN, _IMAGES = "report.html", "report.md", "images"
_CONTENT = frozenset({HTML, MARKDOWN, _IMAGES})


def write_page(found: Found, chosen: Sequence[Run], folder: Path) -> None:
    """Write ``report.html``, ``report.md`` and the latter's ``images`` into ``folder``.

    All files appear at once, or none; an earlier report in the folder is replaced.
    """
    content = _content(found, chosen)
    with atomic_folder(folder, replaces=_CONTENT) as partial:
        for name, escape in ((HTML, True), (MARKDOWN, False)):
            text = _environment(escape).get_template(f"{name}.jinja").render(content)
            (partial / name).write_text(text, encoding="utf-8")
        (partial / _IMAGES).mkdir()
        for image in _images(content):
            (partial / _IMAGES / f"{image.name}.png").write_bytes(image.png)


def _environment(escape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gratis.report"),
        autoescape=escape,
        finalize=visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {"plain": plain, "fence": fence}
    # What the package itself holds needs no escapes.
    environment.filters |= filters | {"table": markdown_table, "own": Markup}
    return environment


def _content(found: Found, chosen: Sequence[Run]) -> dict[str, Any]:
    """Return what the templates render."""
    runs = found.runs
    results = [run.results for run in runs]
    rows = group(results)
    metric = strongest(rows)
    images = {len(run.sample_images.labels) for run in runs if run.sample_images is not None}
    summary = summarise(rows, runs, images.pop() if len(images) == 1 else None)
    table = narrow_table(results, intervals=True, best=summary.best)
    with_images = [(run, run.sample_images) for run in chosen if run.sample_images is not None]
    firsts = [next(run for run in runs if run.results is row.first) for row in rows]
    suites = [(run, suite_tables(run.results, run.seconds)) for run in firsts]
    alike = not differing(runs)
    galleries = [
        gallery(f"gallery-{n}", _title(run), s) for n, (run, s) in enumerate(with_images, 1)
    ]
    return {
        "script": _script(),
        "facts": header(results),
        "summary": summary,
        "choices": _choices(rows, runs, metric),
        "unmeasured": [str(path) for path in found.unmeasured],
        "results": table,
        "notes": _notes(rows, table),
        "equal_compute": not any(row.first.external for row in ranked(rows)),
        "checked": [_checks(run) for run in runs if run.results.checks],
        "unchecked": [str(run.path) for run in runs if not run.results.checks],
        "figure1": figure1_chart(results),
        "figure1_notes": figure1_notes(results),
        "in_the_paper": in_the_paper(rows),
        "scatter": scatter_chart(rows, metric, attack_name(metric, results[0])) if alike else None,
        "frontier": frontier_chart(
            [(_title(run), run.frontier) for run in runs if run.frontier is not None]
        ),
        "epsilon": epsilon_chart(rows),
        "suites": [(_suite_title(run), tables) for run, tables in suites if tables is not None],
        "curves": _curves(rows, runs),
        "rolled_back": any(line.kind == "rollback" for run in runs for line in run.log),
        "no_curves": [str(run.path) for run in runs if not run.log and not run.results.external],
        "attack": attack_name(metric, results[0]),
        "classes": [(_title(run), class_rankings(run, s, metric)) for run, s in with_images],
        "galleries": galleries,
        "beside": _beside([run for run, _ in with_images], galleries, metric) if alike else None,
        "no_images": [str(run.path) for run in chosen if run.sample_images is None],
        "machines": _machines(runs),
        "runs": runs_table(runs),
        "recipes": [_recipe(row) for row in rows if row.first.resolved],
        "external": any(result.external for result in results),
    }


def _script() -> dict[str, str]:
    """Return the page's own script, and the hash by which a browser runs it and no other."""
    text = files("gratis.report").joinpath("templates", "report.js").read_text(encoding="utf-8")
    return {"text": text, "hash": b64encode(sha256(text.encode()).digest()).decode()}


def _beside(
    runs: Sequence[Run], galleries: Sequence[Mapping[str, Any]], metric: str
) -> SideBySide | None:
    """Return the images of several runs beside each other."""
    shown = [
        (_title(run), run, [(image.index, image.label, pictures) for image, pictures in g["lines"]])
        for run, g in zip(runs, galleries, strict=True)
    ]
    return side_by_side(shown, metric)


def _choices(rows: Sequence[Row], runs: Sequence[Run], metric: str) -> list[str]:
    """Return which model to choose; nothing of models that were not measured alike."""
    return (
        [] if differing(runs) else choices(rows, runs, metric, attack_name(metric, rows[0].first))
    )


def _notes(rows: Sequence[Row], table: Table) -> list[str]:
    """Return the lines below the results: the metrics, and the notes of the table."""
    metrics = [column.text for column in table.columns if column.text in METRIC_MEANINGS]
    trust = {WORST if WORST in metrics else "pgd": ": the column to trust"}
    lines = [f"{metric}: {METRIC_MEANINGS[metric]}{trust.get(metric, '')}." for metric in metrics]
    if in_the_paper(rows):
        lines.append("paper: its Table 1, for Tiny ImageNet and an epsilon that it does not state.")
    if names := ", ".join(f"“{row.first.title}”" for row in rows if row.first.external):
        lines.append(f"External models, only evaluated here: {names}. Their training is unknown.")
    return [*lines, *table.notes]


def _title(run: Run) -> str:
    return f"{run.results.title}, seed {run.results.seed}"


def _checks(run: Run) -> dict[str, Any]:
    checks, failed = run.results.checks, len(run.results.failed_checks)
    all_passed = f"all {len(checks)} checks passed"
    return {
        "title": _title(run),
        "failed": failed,
        "summary": f"{failed} of {len(checks)} checks failed" if failed else all_passed,
        "table": checks_table(checks),
        "remedies": remedies(checks),
    }


def _suite_title(run: Run) -> str:
    results = run.results
    title = f"{_title(run)}: suite “{results.suite}”, {results.n:,} images"
    known = [run.seconds[task.name] for task in results.tasks if task.name in run.seconds]
    return title + (f", {sum(known):,.0f} seconds" if len(known) == len(results.tasks) else "")


def _curves(rows: Sequence[Row], runs: Sequence[Run]) -> list[tuple[str, Chart]]:
    """Return the title and the training chart of every row that has one."""
    charts = []
    for number, row in enumerate(rows, 1):
        of_row = [run for run in runs if any(run.results is each for each in row.runs)]
        chart = training_chart(of_row, f"training-{number}", row.first.title)
        if chart is not None:
            charts.append((row.first.title, chart))
    return charts


def _images(content: Mapping[str, Any]) -> list[Chart | Picture]:
    figures = [content[name] for name in ("figure1", "frontier", "epsilon")]
    if content["scatter"] is not None:
        figures.append(content["scatter"].chart)
    charts = [*figures, *(chart for _, chart in content["curves"])]
    lines = [line for gallery in content["galleries"] for line in gallery["lines"]]
    growing = [each for gallery in content["galleries"] for each in gallery["growing"]]
    shown = [*(pictures for _, pictures in lines), *growing]
    return [*filter(None, charts), *(picture for pictures in shown for picture in pictures)]


def _machines(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return each machine with its software and its runs, in the order of first appearance."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for run in runs:
        results = run.results
        versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
        key = (results.commit or "unknown", results.device, versions or "unknown")
        found.setdefault(key, []).append(str(run.path))
    names = ("commit", "device", "versions")
    return [dict(zip(names, key, strict=True)) | {"runs": paths} for key, paths in found.items()]


def _recipe(row: Row) -> tuple[str, str]:
    """Return a title and the resolved recipe as YAML, without the seed if there are several."""
    several = len(row.runs) > 1
    seeds = ", ".join(str(run.seed) for run in row.runs)
    content = {k: v for k, v in row.first.resolved.items() if not (several and k == "seed")}
    return f"{row.first.title}, {'seeds' if several else 'seed'} {seeds}", dump_yaml(content)
