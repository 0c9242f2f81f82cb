"""The paper's bar chart, rebuilt: our accuracies as bars, the paper's as diamonds on them."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gratis.files import atomic_file
from gratis.report.charts import (
    BAND,
    BLUE,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    RED,
    RULE,
    SKY,
    Chart,
    as_png,
    as_svg,
    new_figure,
    style,
)
from gratis.report.rows import (
    Cell,
    Row,
    budget,
    explain_marks,
    group,
    measured_on,
    titles,
)
from gratis.report.table import PAPERS
from gratis.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The transfer metrics alone prove little, so PGD stands beside them.
_COLOURS = {"clean": SKY, "geometric": BLUE, "fgsm_transfer": ORANGE, "pgd": RED}
_DIAMOND: dict[str, Any] = {"markersize": 5.5, "markerfacecolor": PAPER, "markeredgecolor": INK}
_PAPER_COLUMN = 110.0
_FILE_DPI = 150


@dataclass(frozen=True)
class _Layout:
    """Where things go: sizes in inches; ``number`` is the width of a number, in points of x.

    Names stand beside the bars or above them, with their ``models`` or without.
    """

    width: float
    row: float
    number: float
    legend_columns: int
    names_above: bool = False
    models: bool = False

    @property
    def bar(self) -> float:
        """The height of a bar, where 1 is that of a row."""
        return 0.16 if self.names_above else 0.2

    @property
    def middle(self) -> float:
        """How far below the middle of its row the middle of the bars is."""
        return 0.14 if self.names_above else 0.0


_FILE = _Layout(width=10.0, row=0.78, number=4.0, legend_columns=5, models=True)
_PAGE = _Layout(width=7.2, row=0.62, number=6.0, legend_columns=5)
_PHONE = _Layout(width=3.5, row=0.85, number=9.0, legend_columns=2, names_above=True)


def figure1(results: Sequence[Results], path: Path) -> None:
    """Draw one group of bars per recipe and write it as PNG, 1500 pixels wide.

    Error bars are 95% Wilson intervals for one seed, standard deviations for several. The
    paper's values for ``geometric`` and ``fgsm_transfer`` are diamonds, with the number (or
    n/a) at the right; where it has none for any of the rows, nothing stands there.

    Args:
        results: at least one run.
        path: the PNG to write.

    Raises:
        GratisError: the file cannot be written.
    """
    with style():
        figure = _draw(group(results), _FILE)
        lines = figure1_notes(results)
        figure.set_figheight(figure.get_figheight() + 0.7 + 0.2 * len(lines))
        title = f"{_title(results)}\n{_usual_model(group(results))} unless a row says otherwise"
        figure.axes[0].set_title(title, loc="left", fontsize=11, pad=26)
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color=MUTED)
        png = as_png(figure, _FILE_DPI)
    with atomic_file(path) as temporary:
        temporary.write_bytes(png)


def figure1_chart(results: Sequence[Results]) -> Chart:
    """Return the same chart for a page, without its title and notes."""
    rows = group(results)
    text = "Accuracy of each model in percent, as bars, by metric"
    text += "; the paper's values as diamonds." if in_the_paper(rows) else "."
    with style():
        wide = _draw(rows, _PAGE)
        return Chart(
            "figure1",
            text,
            as_svg(wide, "figure1", text),
            as_png(wide),
            as_svg(_draw(rows, _PHONE), "figure1-narrow", text),
        )


def figure1_notes(results: Sequence[Results]) -> list[str]:
    """Return what the error bars and the marks in the chart mean."""
    meanings = {
        False: "95% Wilson interval over the images of one seed",
        True: "standard deviation over several seeds",
    }
    rows = group(results)
    used = sorted({len(row.runs) > 1 for row in rows})
    bars = "Error bars: " + " or ".join(meanings[several] for several in used) + "."
    return [bars, *explain_marks(rows)]


def in_the_paper(rows: Sequence[Row]) -> bool:
    """Return whether the paper gives a figure for any of the rows."""
    return any(row.paper(metric) is not None for row in rows for metric in PAPERS)


def _title(results: Sequence[Results]) -> str:
    return f"Accuracy on {measured_on(results)}\n{budget(results)}"


def _draw(rows: Sequence[Row], layout: _Layout) -> "Figure":
    frame = 0.75 + 0.24 * -(-(len(_COLOURS) + 1) // layout.legend_columns)
    figure = new_figure(layout.width, frame + layout.row * len(rows))
    axes = figure.add_subplot()
    papers = in_the_paper(rows)
    for place, row in enumerate(rows):
        _Group(axes, layout, place, row, papers).draw()
    _name_rows(axes, rows, layout)
    _label(axes, len(rows), layout, papers)
    return figure


@dataclass(frozen=True)
class _Group:
    """The bars of one row, ``place`` rows from the top, with the paper's column or without."""

    axes: "Axes"
    layout: _Layout
    place: int
    row: Row
    papers: bool

    def draw(self) -> None:
        if self.place % 2:
            edges = self.place - 0.5, self.place + 0.5
            self.axes.axhspan(*edges, color=BAND, zorder=0, linewidth=0)
        first = self.place + self.layout.middle - (len(_COLOURS) - 1) / 2 * self.layout.bar
        for rank, (metric, colour) in enumerate(_COLOURS.items()):
            y = first + rank * self.layout.bar
            cell, paper = self.row.cell(metric), self.row.paper(metric)
            if cell is None:
                self.axes.text(1, y, "n/a", va="center", fontsize=7, color=MUTED)
            else:
                mark = self.row.mark_of("fgsm" if metric == "pgd" else metric)
                self._draw_bar(y, cell, colour)
                self._draw_number(y, cell, paper, f"{cell.value:.1f}{mark}")
            if self.papers and metric in PAPERS:
                self._draw_paper(y, paper)

    def _draw_bar(self, y: float, cell: Cell, colour: str) -> None:
        spread = [[reach] for reach in cell.spread]
        error = {"elinewidth": 0.8, "capsize": 1.5, "capthick": 0.8, "ecolor": INK}
        height = self.layout.bar * 0.92
        self.axes.barh(y, cell.value, height, color=colour, xerr=spread, error_kw=error, zorder=2)

    def _draw_number(self, y: float, cell: Cell, paper: float | None, number: str) -> None:
        behind, wide = cell.value + cell.spread[1] + 1, self.layout.number
        if paper is None or not behind - 2 < paper < behind + wide + 2:
            self.axes.text(behind, y, number, va="center", fontsize=7)
        elif (inside := cell.value - cell.spread[0]) > wide + 5:
            # Next to the diamond it would read as the paper's: it moves inside our bar.
            paint = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}
            self.axes.text(inside - 1, y, number, va="center", ha="right", fontsize=7, bbox=paint)
        else:
            self.axes.text(paper + wide * 0.4, y, number, va="center", fontsize=7)

    def _draw_paper(self, y: float, paper: float | None) -> None:
        if paper is not None:
            self.axes.plot(paper, y, "D", zorder=4, **_DIAMOND)
        text = "n/a" if paper is None else f"{paper:g}"
        self.axes.text(_PAPER_COLUMN, y, text, va="center", fontsize=7, color=MUTED)


def _name_rows(axes: "Axes", rows: Sequence[Row], layout: _Layout) -> None:
    named = list(zip(titles(rows), rows, strict=True))
    if not layout.names_above:
        names = [textwrap.fill(title, 30) for title, _ in named]
        if layout.models:
            names = [_name(*each, _usual_model(rows)) for each in named]
        axes.set_yticks(range(len(rows)), names, fontsize=8.5, color=INK)
        return
    axes.set_yticks([])
    for place, (title, _) in enumerate(named):
        text = textwrap.shorten(title, 52, placeholder=" …")
        axes.text(1, place - 0.36, text, va="center", fontsize=8.5)


def _label(axes: "Axes", rows: int, layout: _Layout, papers: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xlim(0, 116)
    axes.set_xticks(range(0, 101, 20), [f"{tick}%" for tick in range(0, 101, 20)], fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=RULE, linewidth=0.6, zorder=1)
    axes.spines[["top", "right", "left"]].set_visible(False)
    handles: list[Any] = [Patch(color=hue, label=metric) for metric, hue in _COLOURS.items()]
    if papers:
        axes.text(_PAPER_COLUMN, -0.55, "paper", va="bottom", fontsize=8, color=MUTED)
        diamond = Line2D([], [], linestyle="", marker="D", label="the paper's value", **_DIAMOND)
        handles.append(diamond)
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=layout.legend_columns,
        frameon=False,
        fontsize=8.5,
        borderaxespad=0.2 if layout.models else 1.4,
        handlelength=1.2,
        columnspacing=1.4,
    )


def _name(title: str, row: Row, usual: str) -> str:
    used = _model(row)
    return "\n".join(textwrap.fill(text, 34) for text in (title, used)[: 1 + (used != usual)])


def _model(row: Row) -> str:
    seeds = f", {len(row.runs)} seeds" if len(row.runs) > 1 else ""
    return f"{row.first.backbone}, {row.first.input_size} px{seeds}"


def _usual_model(rows: Sequence[Row]) -> str:
    """Return what most rows have, so that they need not all say it."""
    return Counter(map(_model, rows)).most_common(1)[0][0]
