"""The results table: one row per recipe, as Markdown and for the terminal."""

from collections.abc import Sequence
from pathlib import Path

from gratis.files import make_folder, write_text
from gratis.json_files import write_json
from gratis.report.results_csv import to_csv
from gratis.report.rows import (
    EXPECTED,
    PAPERS,
    WORST,
    Row,
    attacked_with,
    explain_marks,
    group,
    measured_on,
    shown_metrics,
    titles,
    trained_unlike,
)
from gratis.report.table import Cell, Table, TableRow, count, in_common, markdown_table, plain
from gratis.results import Results

WORST_MEANS = "images that survive every L-infinity attack of the suite"
EXPECTED_MEANS = "the mean accuracy under PGD over all epsilons from 0 to that of the table"
# The columns that a narrow terminal leaves out, in this order.
_OPTIONAL = ("seconds", "passes", "transfer", "fgsm_transfer", "fgsm", "geometric")
METRIC_MEANINGS = {
    "clean": "the validation images, unchanged",
    "geometric": "rotated, scaled, shifted and recoloured; a fixed set",
    "fgsm_transfer": "FGSM on the seed-0 baseline, then geometric noise: the paper's column",
    "transfer": "FGSM on the seed-0 baseline",
    "fgsm": "FGSM on the model itself",
    "pgd": "PGD with a random start on the model itself",
    WORST: WORST_MEANS,
    EXPECTED: EXPECTED_MEANS,
}
# The uncertainties, by whether there are several seeds.
_MARGINS = {
    False: "± of one seed: 95% Wilson interval over the images (its wider side). It says nothing "
    "about other seeds.",
    True: "± of several seeds: standard deviation over the seeds; table.csv has the 95% t-interval "
    "of their mean.",
}
_INTERVALS = {
    False: "Brackets, one seed: 95% Wilson interval over the images. It says nothing about other "
    "seeds.",
    True: "Brackets, several seeds: 95% t-interval of their mean; ± is their standard deviation.",
}


def write_tables(results: Sequence[Results], folder: Path) -> None:
    """Write ``table.md``, ``table.csv`` and ``results.json`` (``{"rows": [...]}``, one per run)."""
    make_folder(folder)
    write_text(folder / "table.md", to_markdown(results))
    write_text(folder / "table.csv", to_csv(results))
    write_json(folder / "results.json", {"rows": [run.model_dump(mode="json") for run in results]})


def header(results: Sequence[Results]) -> str:
    """Return the line above the table: data, attacks and device."""
    classes, device = (in_common(results, field) for field in ("classes", "device"))
    return (
        f"{measured_on(results)}, {classes} classes; {attacked_with(results)}; {device}. "
        "Accuracies in percent."
    )


def to_markdown(results: Sequence[Results]) -> str:
    """Return the whole table as Markdown, with its header line and notes."""
    table = wide_table(results)
    below = [f"- {note}" for note in table.notes]
    return "\n".join([plain(table.title), "", markdown_table(table), "", *below]) + "\n"


def wide_table(results: Sequence[Results]) -> Table:
    """Return the table with a column for each value."""
    rows = group(results)
    metrics = shown_metrics(rows)
    columns = ["model", "backbone", "size", "seeds"]
    compared = [metric for metric in PAPERS if any(row.paper(metric) is not None for row in rows)]
    for metric in metrics:
        columns += [metric, f"paper {metric}"] if metric in compared else [metric]
    counted = any(run.flops is not None for run in results)
    columns += ["passes", *(["FLOPs"] if counted else []), "epochs", "seconds"]
    lines = []
    for title, row in zip(titles(rows), rows, strict=True):
        cells = [Cell(title), Cell(row.first.backbone), Cell(_size(row)), Cell(str(len(row.runs)))]
        for metric in metrics:
            cells.append(_number(row, metric))
            if metric in compared:
                cells.append(Cell(_paper(row, metric) or "n/a"))
        passes, *others = map(Cell, _costs(row))
        flops = [Cell(_flops(row))] if counted else []
        lines.append(TableRow([*cells, passes, *flops, *others]))
    return Table([Cell(column) for column in columns], lines, 3, header(results), notes(rows))


def narrow_table(
    results: Sequence[Results], intervals: bool = False, best: str | None = None
) -> Table:
    """Return the table with several values in a cell, for the terminal and the page.

    ``intervals`` gives both bounds of the 95% intervals instead of ±, and leaves out metrics that
    no row has. ``best`` is the recipe of the row to emphasise.
    """
    rows = group(results)
    metrics = [
        m for m in shown_metrics(rows) if not intervals or any(row.estimate(m) for row in rows)
    ]
    columns = [
        Cell("model", small="backbone, size"),
        *map(Cell, metrics),
        Cell("passes", small="epochs"),
        Cell("seconds", small="seeds"),
    ]
    lines = []
    for title, row in zip(titles(rows), rows, strict=True):
        passes, epochs, seconds = _costs(row)
        cells = [
            Cell(title, small=f"{row.first.backbone}, {_size(row)} px"),
            *(_number(row, metric, intervals, with_paper=True) for metric in metrics),
            Cell(passes, small="" if row.first.external else epochs),
            Cell(seconds, small=str(len(row.runs))),
        ]
        lines.append(TableRow(cells, strong=row.first.recipe == best))
    return Table(columns, lines, 1, header(results), notes(rows, intervals), _OPTIONAL)


def _size(row: Row) -> str:
    """Return the side of an image in pixels, before and after the model resizes it."""
    before, after = row.first.image_size, row.first.input_size
    return f"{before}" if before == after else f"{before} → {after}"


def _number(row: Row, metric: str, interval: bool = False, with_paper: bool = False) -> Cell:
    estimate, paper = row.estimate(metric), _paper(row, metric)
    small = f"paper {paper}" if with_paper and paper else ""
    if estimate is None:
        return Cell("n/a", small=small)
    text = f"{estimate.value:.1f}{row.mark_of(metric)}"
    if not interval:
        return Cell(text, f"±{estimate.margin:.1f}", small)
    std = "" if estimate.std is None else f" ±{estimate.std:.1f}"
    return Cell(text + std, f"[{estimate.low:.1f}, {estimate.high:.1f}]", small)


def _paper(row: Row, metric: str) -> str:
    value = row.paper(metric)
    return "" if value is None else f"{value:g}"


def _costs(row: Row) -> list[str]:
    if row.first.external:
        return ["n/a"] * 3
    return [count(row.mean("passes")), f"{row.mean('epochs'):.1f}", f"{row.mean('seconds'):.0f}"]


def _flops(row: Row) -> str:
    flops = row.mean_or_none("flops")
    return "n/a" if flops is None else count(flops)


def notes(rows: Sequence[Row], intervals: bool = False) -> list[str]:
    """Return the lines below the table: the meaning of the uncertainties and of the marks."""
    texts = _INTERVALS if intervals else _MARGINS
    several = {len(row.runs) > 1 for row in rows}
    lines = [text for number, text in texts.items() if number in several]
    if not intervals:
        meanings = {WORST: WORST_MEANS, EXPECTED: EXPECTED_MEANS}
        lines += [
            f"{metric}: {text}."
            for metric, text in meanings.items()
            if metric in shown_metrics(rows)
        ]
    if trained_unlike([run for row in rows for run in row.runs]):
        lines.append("[training images]: rows trained on different data are not comparable.")
    return lines + explain_marks(rows)
