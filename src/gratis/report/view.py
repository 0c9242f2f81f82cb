"""The results table as a page shows it: cells with both ends of their intervals."""

from collections.abc import Sequence
from typing import NamedTuple

from gratis.report.rows import WORST, WORST_MEANS, Cell, Row, count, explain_marks, shown, titles
from gratis.report.table import PAPERS, image_size

_MEANINGS = {
    "clean": "the validation images as they are",
    "geometric": "rotated, scaled, shifted, recoloured; a frozen set",
    "fgsm_transfer": "FGSM against the seed-0 baseline, then geometric noise: the paper's column",
    "transfer": "FGSM against the seed-0 baseline",
    "fgsm": "FGSM against the model itself",
    "pgd": "PGD with a random start against the model itself",
    WORST: WORST_MEANS,
}


class Number(NamedTuple):
    """One cell: the accuracy with its mark, and the paper's value where there is one."""

    cell: Cell | None
    mark: str
    paper: float | None


class TableRow(NamedTuple):
    """One line of the table; ``best`` marks the verdict's."""

    title: str
    model: str
    seeds: int
    numbers: Sequence[Number]
    passes: str
    seconds: str
    best: bool


class TableView(NamedTuple):
    """The table: its metrics, with their meanings, its lines, and the notes below."""

    metrics: Sequence[tuple[str, str]]
    rows: Sequence[TableRow]
    notes: Sequence[str]


def table_view(rows: Sequence[Row], best: Row | None) -> TableView:
    """Return the table of the rows, with the metrics that one of them has."""
    metrics = [metric for metric in shown(rows) if any(row.cell(metric) for row in rows)]
    lines = [
        TableRow(
            title=title,
            model=f"{row.first.backbone}, {image_size(row)} px",
            seeds=len(row.runs),
            numbers=[Number(row.cell(m), row.mark_of(m), row.paper(m)) for m in metrics],
            passes="n/a" if row.first.external else count(row.mean("passes")),
            seconds="n/a" if row.first.external else f"{row.mean('seconds'):,.0f}",
            best=row is best,
        )
        for title, row in zip(titles(rows), rows, strict=True)
    ]
    return TableView([(m, _meaning(m, metrics)) for m in metrics], lines, _notes(rows))


def _meaning(metric: str, among: Sequence[str]) -> str:
    trusted = WORST if WORST in among else "pgd"
    return _MEANINGS[metric] + (": the column to trust" if metric == trusted else "")


def _notes(rows: Sequence[Row]) -> list[str]:
    lines = []
    if any(len(row.runs) == 1 for row in rows):
        lines.append("Brackets, one seed: 95% Wilson interval over the images.")
    if any(len(row.runs) > 1 for row in rows):
        lines.append(
            "Brackets, several seeds: 95% t-interval of their mean; ± is their standard deviation."
        )
    if any(row.paper(metric) is not None for row in rows for metric in PAPERS):
        lines.append("paper: its Table 1, for Tiny ImageNet and an epsilon that it does not state.")
    return [*lines, *explain_marks(rows), *_elsewhere(rows)]


def _elsewhere(rows: Sequence[Row]) -> list[str]:
    names = ", ".join(f"“{row.first.title}”" for row in rows if row.first.external)
    if not names:
        return []
    return [
        f"External models, only evaluated here: {names}. Their training is unknown, so that there "
        "are no passes, seconds and curves."
    ]
