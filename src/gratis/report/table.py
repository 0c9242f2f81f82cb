"""The results table: for the terminal, as Markdown, as CSV and as JSON."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gratis.files import make_folder, write_json, write_text
from gratis.report.markup import plain
from gratis.report.rows import (
    COLLAPSED,
    WORST,
    WORST_MEANS,
    Cell,
    Row,
    budget,
    count,
    explain_marks,
    group,
    in_common,
    measured_on,
    shown,
    titles,
    trained_unlike,
)
from gratis.results import Results

if TYPE_CHECKING:
    from rich.table import Table

PAPERS = ("geometric", "fgsm_transfer")


def write_tables(results: Sequence[Results], folder: Path) -> None:
    """Write ``table.md``, ``table.csv`` and ``results.json`` (``{"rows": [...]}``, one per run).

    Raises:
        GratisError: the folder cannot be written.
    """
    make_folder(folder)
    write_text(folder / "table.md", to_markdown(results))
    write_text(folder / "table.csv", to_csv(results))
    write_json(folder / "results.json", {"rows": [run.model_dump(mode="json") for run in results]})


def header(results: Sequence[Results]) -> str:
    """Return the line that says on what, and against what, everything was measured."""
    classes, device = (in_common(results, field) for field in ("classes", "device"))
    return (
        f"{measured_on(results)}, {classes} classes; {budget(results)}; {device}. "
        "Accuracies in percent."
    )


def notes(rows: Sequence[Row]) -> list[str]:
    """Return the lines below the table: what ± means here, and every mark that occurs."""
    lines = []
    if any(len(row.runs) == 1 for row in rows):
        lines.append("± of one seed: 95% Wilson interval over the images (its wider side).")
    if any(len(row.runs) > 1 for row in rows):
        lines.append(
            "± of several seeds: standard deviation over the seeds; table.csv has the 95% "
            "t-interval of their mean."
        )
    if WORST in shown(rows):
        lines.append(f"{WORST}: {WORST_MEANS}.")
    if trained_unlike([run for row in rows for run in row.runs]):
        lines.append("[training images]: rows trained on different data are not comparable.")
    return lines + explain_marks(rows)


def to_markdown(results: Sequence[Results]) -> str:
    """Return the table as Markdown, with a line above and the explanations below."""
    rows = group(results)
    columns = ["model", "backbone", "size", "seeds"]
    metrics = shown(rows)
    for metric in metrics:
        columns += [metric, f"paper {metric}"] if metric in PAPERS else [metric]
    columns += ["passes", "epochs", "seconds"]
    lines = [
        plain(header(results)),
        "",
        _markdown_line(columns),
        _markdown_line(["---"] * 3 + ["---:"] * (len(columns) - 3)),
        *(
            _markdown_line(_markdown_cells(*each, metrics))
            for each in zip(titles(rows), rows, strict=True)
        ),
        "",
        *(f"- {note}" for note in notes(rows)),
    ]
    return "\n".join(lines) + "\n"


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cells(title: str, row: Row, metrics: Sequence[str]) -> list[str]:
    cells = [plain(title), plain(row.first.backbone), image_size(row), str(len(row.runs))]
    for metric in metrics:
        cells.append(_number(row.cell(metric), row.mark_of(metric), " "))
        if metric in PAPERS:
            cells.append(_paper(row, metric))
    return [*cells, *_costs(row)]


def image_size(row: Row) -> str:
    """Return the side of an image in pixels, before and after the model resizes it."""
    before, after = row.first.image_size, row.first.input_size
    return f"{before}" if before == after else f"{before} → {after}"


def _number(cell: Cell | None, mark: str, between: str) -> str:
    if cell is None:
        return "n/a"
    return f"{cell.value:.1f}{mark}{between}±{cell.margin:.1f}"


def _paper(row: Row, metric: str) -> str:
    value = row.paper(metric)
    return "n/a" if value is None else f"{value:g}"


def _costs(row: Row) -> list[str]:
    if row.first.external:
        return ["n/a"] * 3
    return [count(row.mean("passes")), f"{row.mean('epochs'):.1f}", f"{row.mean('seconds'):.0f}"]


def to_terminal(results: Sequence[Results]) -> "Table":
    """Return the table for a terminal of 110 columns or more, each ± below its number."""
    from rich import box
    from rich.table import Table

    rows = group(results)
    table = Table(
        title=header(results),
        caption="\n".join(notes(rows)),
        caption_justify="left",
        box=box.HORIZONTALS,
        padding=(0, 1, 0, 0),
    )
    table.add_column("model\nbackbone, size", min_width=22, overflow="fold")
    metrics = shown(rows)
    for metric in metrics:
        table.add_column(metric.replace("_", "\n"), justify="right", no_wrap=True)
        if metric in PAPERS:
            table.add_column("paper", justify="right", style="dim", no_wrap=True)
    for column in ("passes\nepochs", "seconds\nseeds"):
        table.add_column(column, justify="right", no_wrap=True)
    for title, row in zip(titles(rows), rows, strict=True):
        table.add_row(*_terminal_cells(title, row, metrics))
    return table


def _terminal_cells(title: str, row: Row, metrics: Sequence[str]) -> list[str]:
    from rich.markup import escape

    used = f"{row.first.backbone}, {image_size(row)} px"
    cells = [f"{escape(title)}\n[dim]{escape(used)}[/dim]"]
    for metric in metrics:
        number, _, margin = _number(row.cell(metric), row.mark_of(metric), "\n").partition("\n")
        cells.append(f"{number}\n[dim]{margin}[/dim]")
        if metric in PAPERS:
            cells.append(_paper(row, metric))
    passes, epochs, seconds = _costs(row)
    return [*cells, f"{passes}\n{epochs}", f"{seconds}\n{len(row.runs)}"]


def to_csv(results: Sequence[Results]) -> str:
    """Return the table as CSV, one line per recipe, with plain numbers.

    Accuracies are in percent. ``*_low`` and ``*_high`` are the 95% interval: Wilson's over the
    images of a single run, Student's t of the mean over several seeds. ``*_std`` is the standard
    deviation over the seeds; what does not apply is empty.
    """
    rows = group(results)
    lines = [_csv_line(row, shown(rows)) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _csv_line(row: Row, metrics: Sequence[str]) -> dict[str, object]:
    run = row.first
    line: dict[str, object] = {"recipe": run.recipe, "title": run.title, "seeds": len(row.runs)}
    line |= {field: getattr(run, field) for field in _CSV_FIELDS}
    costs: dict[str, object] = {
        "train_images": in_common(row.runs, "train_images").replace(",", ""),
        **{field: round(row.mean(field), 3) for field in ("passes", "epochs", "seconds")},
    }
    line |= dict.fromkeys(costs) if row.first.external else costs
    for metric in metrics:
        line |= _csv_numbers(metric, row.cell(metric))
    line |= {f"paper_{metric}": row.paper(metric) for metric in PAPERS}
    line["collapsed"] = row.mark_of("fgsm") == COLLAPSED
    return line


_CSV_FIELDS = (
    *("baseline", "reference", "data", "n", "classes", "epsilon", "pgd_steps"),
    *("backbone", "parameters", "image_size", "input_size", "device"),
)


def _csv_numbers(metric: str, cell: Cell | None) -> dict[str, object]:
    names = (metric, f"{metric}_low", f"{metric}_high", f"{metric}_std")
    if cell is None:
        return dict.fromkeys(names)
    values = (cell.value, cell.low, cell.high, cell.std)
    rounded = (None if value is None else round(value, 3) for value in values)
    return dict(zip(names, rounded, strict=True))
