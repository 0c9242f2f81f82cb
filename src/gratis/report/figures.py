"""The paper's bar chart, rebuilt: our accuracies as bars, the paper's as diamonds on them."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gratis.files import replacing
from gratis.report.rows import (
    Cell,
    Row,
    explain_marks,
    group,
    in_common,
    titles,
    training_images,
)
from gratis.report.table import PAPERS
from gratis.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# From the palette of Okabe and Ito, which colour-blind readers can tell apart. The transfer
# metrics alone prove little, so PGD stands beside them.
_COLOURS = {
    "clean": "#56B4E9",
    "geometric": "#0072B2",
    "fgsm_transfer": "#E69F00",
    "pgd": "#D55E00",
}
_BAR = 0.2
_WIDTH_INCHES, _ROW_INCHES, _FRAME_INCHES, _DPI = 10.0, 0.78, 1.7, 150
_PAPER_COLUMN = 110.0


def figure1(results: Sequence[Results], path: Path) -> None:
    """Draw one group of bars per recipe and write it as PNG, 1500 pixels wide.

    Error bars are 95% Wilson intervals for one seed, standard deviations for several. The
    paper's values for ``geometric`` and ``fgsm_transfer`` are diamonds, with the number (or
    n/a) at the right.

    Args:
        results: at least one run.
        path: the PNG to write.

    Raises:
        GratisError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = group(results)
    lines = [_error_bars(rows), *explain_marks(rows)]
    height = _FRAME_INCHES + _ROW_INCHES * len(rows) + 0.2 * len(lines)
    figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        _draw_row(axes, place, row)
    _label(axes, rows)
    axes.set_title(_title(results), loc="left", fontsize=11, pad=26)
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color="0.35")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _title(results: Sequence[Results]) -> str:
    data, n, epsilon, steps = (
        in_common(results, field) for field in ("data", "n", "epsilon", "pgd_steps")
    )
    return (
        f"Accuracy on {data}, {training_images(results)}, {n} validation images\n"
        f"epsilon {epsilon} (L-infinity), PGD with {steps} steps"
    )


def _error_bars(rows: Sequence[Row]) -> str:
    meanings = {
        False: "95% Wilson interval over the images of one seed",
        True: "standard deviation over several seeds",
    }
    used = sorted({len(row.runs) > 1 for row in rows})
    return "Error bars: " + " or ".join(meanings[several] for several in used) + "."


def _draw_row(axes: "Axes", place: int, row: Row) -> None:
    if place % 2:
        axes.axhspan(place - 0.5, place + 0.5, color="0.96", zorder=0, linewidth=0)
    for rank, (metric, colour) in enumerate(_COLOURS.items()):
        y = place + (rank - (len(_COLOURS) - 1) / 2) * _BAR
        cell, paper = row.cell(metric), row.paper(metric)
        if cell is None:
            axes.text(1, y, "n/a", va="center", fontsize=7, color="0.4")
        else:
            _draw_bar(axes, y, cell, colour)
            mark = row.mark_of("fgsm") if metric == "pgd" else row.mark_of(metric)
            _draw_number(axes, y, cell, paper, f"{cell.value:.1f}{mark}")
        if metric in PAPERS:
            _draw_paper(axes, y, paper)


def _draw_bar(axes: "Axes", y: float, cell: Cell, colour: str) -> None:
    spread = [[reach] for reach in cell.spread]
    style = {"elinewidth": 0.8, "capsize": 1.5, "capthick": 0.8, "ecolor": "black"}
    axes.barh(y, cell.value, _BAR * 0.92, color=colour, xerr=spread, error_kw=style, zorder=2)


def _draw_number(axes: "Axes", y: float, cell: Cell, paper: float | None, number: str) -> None:
    behind = cell.value + cell.spread[1] + 1
    if paper is None or not behind - 2 < paper < behind + 6:
        axes.text(behind, y, number, va="center", fontsize=7)
    elif (inside := cell.value - cell.spread[0]) > 9:
        # Next to the diamond it would read as the paper's: it moves inside our bar.
        paint = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        axes.text(inside - 1, y, number, va="center", ha="right", fontsize=7, bbox=paint)
    else:
        axes.text(paper + 1.6, y, number, va="center", fontsize=7)


def _draw_paper(axes: "Axes", y: float, paper: float | None) -> None:
    text = "n/a"
    if paper is not None:
        text = f"{paper:g}"
        axes.plot(
            paper,
            y,
            "D",
            markersize=5.5,
            markerfacecolor="white",
            markeredgecolor="black",
            zorder=4,
        )
    axes.text(_PAPER_COLUMN, y, text, va="center", fontsize=7, color="0.35")


def _label(axes: "Axes", rows: Sequence[Row]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    axes.set_yticks(
        range(len(rows)),
        [_name(*each) for each in zip(titles(rows), rows, strict=True)],
        fontsize=8.5,
    )
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 116)
    axes.set_xticks(range(0, 101, 20), [f"{tick}%" for tick in range(0, 101, 20)])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.85", linewidth=0.6, zorder=1)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.text(_PAPER_COLUMN, -0.55, "paper", va="bottom", fontsize=8, color="0.35")
    handles = [Patch(color=colour, label=metric) for metric, colour in _COLOURS.items()]
    diamond = Line2D([], [], linestyle="", marker="D", label="the paper's value")
    diamond.set(markersize=5.5, markerfacecolor="white", markeredgecolor="black")
    axes.legend(
        handles=[*handles, diamond],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(handles) + 1,
        frameon=False,
        fontsize=8.5,
        borderaxespad=0.2,
        handlelength=1.2,
        columnspacing=1.4,
    )


def _name(title: str, row: Row) -> str:
    seeds = f", {len(row.runs)} seeds" if len(row.runs) > 1 else ""
    used = f"{row.first.backbone}, {row.first.input_size} px{seeds}"
    return "\n".join(textwrap.fill(text, 34) for text in (title, used))
