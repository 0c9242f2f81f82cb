"""The paper's Figure 1: accuracies as bars, the paper's values as diamonds on them."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gratis.files import atomic_file
from gratis.report import charts
from gratis.report.charts import BAND, BLUE, INK, MUTED, ORANGE, PAPER, RED, RULE, SKY, Chart
from gratis.report.rows import PAPERS, Row, attacked_with, explain_marks, group, measured_on, titles
from gratis.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The transfer metrics alone prove little, so PGD is beside them.
_COLOURS = {"clean": SKY, "geometric": BLUE, "fgsm_transfer": ORANGE, "pgd": RED}
_DIAMOND: dict[str, Any] = {"markersize": 5.5, "markerfacecolor": PAPER, "markeredgecolor": INK}
_PAPER_COLUMN = 110.0
_FILE_DPI = 150
# The characters of a title in a figure: three lines, so that it stays beside its bars.
_LONGEST = 80


class _Layout(NamedTuple):
    """The sizes of a figure: its width and row height in inches, a number's width in points."""

    width: float
    row: float
    number: float
    legend_columns: int = 5
    # Whether the titles are above the bars, and whether they include the models.
    names_above: bool = False
    models: bool = False


_FILE = _Layout(width=10.0, row=0.78, number=4.0, models=True)
_PAGE = _Layout(width=7.2, row=0.62, number=6.0)
_PHONE = _Layout(width=3.5, row=0.85, number=9.0, legend_columns=2, names_above=True)


def figure1(results: Sequence[Results], path: Path) -> None:
    """Write the figure as PNG, 1500 pixels wide, with one group of bars per recipe.

    Error bars are 95% Wilson intervals for one seed, standard deviations for several. The
    paper's values for ``geometric`` and ``fgsm_transfer`` are diamonds, with the number (or
    n/a) at the right, if it has one for any of the rows.
    """
    rows, notes = group(results), figure1_notes(results)
    with charts.style():
        figure = _draw(rows, _FILE)
        figure.set_figheight(figure.get_figheight() + 0.7 + 0.2 * len(notes))
        title = f"Accuracy on {measured_on(results)}\n{attacked_with(results)}"
        title += f"\n{_usual_model(rows)} unless a row says otherwise"
        figure.axes[0].set_title(title, loc="left", fontsize=11, pad=26)
        figure.supxlabel("\n".join(notes), x=0.01, ha="left", fontsize=8, color=MUTED)
        png = charts.as_png(figure, _FILE_DPI)
    with atomic_file(path) as temporary:
        temporary.write_bytes(png)


def figure1_chart(results: Sequence[Results]) -> Chart:
    """Return the figure for a page, without its title and notes."""
    rows = group(results)
    text = "Accuracy of each model in percent, as bars, by metric"
    text += "; the paper's values as diamonds." if in_the_paper(rows) else "."
    with charts.style():
        return Chart.of("figure1", text, _draw(rows, _PAGE), _draw(rows, _PHONE))


def figure1_notes(results: Sequence[Results]) -> list[str]:
    """Return the meanings of the error bars and the marks in the figure."""
    meanings = {
        False: "95% Wilson interval over the images of one seed",
        True: "standard deviation over several seeds",
    }
    rows = group(results)
    used = sorted({len(row.runs) > 1 for row in rows})
    bars = "Error bars: " + " or ".join(meanings[several] for several in used) + "."
    return [bars, *explain_marks(rows)]


def in_the_paper(rows: Sequence[Row]) -> bool:
    """Return whether the paper has a value for any of the rows."""
    return any(row.paper(metric) is not None for row in rows for metric in PAPERS)


def _draw(rows: Sequence[Row], layout: _Layout) -> "Figure":
    frame = 0.75 + 0.24 * -(-(len(_COLOURS) + 1) // layout.legend_columns)
    figure = charts.new_figure(layout.width, frame + layout.row * len(rows))
    axes = figure.add_subplot()
    with_paper = in_the_paper(rows)
    for place, row in enumerate(rows):
        if place % 2:
            axes.axhspan(place - 0.5, place + 0.5, color=BAND, zorder=0, linewidth=0)
        # A row has the height 1.
        centre, height = (place + 0.14, 0.16) if layout.names_above else (place, 0.2)
        for rank, metric in enumerate(_COLOURS):
            y = centre + (rank - (len(_COLOURS) - 1) / 2) * height
            _draw_bar(axes, y, height, row, metric)
            _draw_number(axes, y, layout.number, row, metric)
            if with_paper and metric in PAPERS:
                _draw_paper(axes, y, row.paper(metric))
    _draw_titles(axes, rows, layout)
    _draw_frame(axes, len(rows), layout, with_paper)
    return figure


def _draw_bar(axes: "Axes", y: float, height: float, row: Row, metric: str) -> None:
    if (estimate := row.estimate(metric)) is not None:
        error = {"elinewidth": 0.8, "capsize": 1.5, "capthick": 0.8, "ecolor": INK}
        spread = [[length] for length in estimate.spread]
        look: dict[str, Any] = {"color": _COLOURS[metric], "xerr": spread, "error_kw": error}
        axes.barh(y, estimate.value, height * 0.92, zorder=2, **look)


def _draw_number(axes: "Axes", y: float, width: float, row: Row, metric: str) -> None:
    estimate, paper = row.estimate(metric), row.paper(metric)
    if estimate is None:
        axes.text(1, y, "n/a", va="center", fontsize=7, color=MUTED)
        return
    mark = row.mark_of("fgsm" if metric == "pgd" else metric)
    x = estimate.value + estimate.spread[1] + 1
    look: dict[str, Any] = {}
    if paper is not None and x - 2 < paper < x + width + 2:
        # Beside the diamond it would look like the paper's number, so it moves away.
        x = paper + width * 0.4
        if (inside := estimate.value - estimate.spread[0]) > width + 5:
            paint = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}
            x, look = inside - 1, {"ha": "right", "bbox": paint}
    axes.text(x, y, f"{estimate.value:.1f}{mark}", va="center", fontsize=7, **look)


def _draw_paper(axes: "Axes", y: float, paper: float | None) -> None:
    if paper is not None:
        axes.plot(paper, y, "D", zorder=4, **_DIAMOND)
    text = "n/a" if paper is None else f"{paper:g}"
    axes.text(_PAPER_COLUMN, y, text, va="center", fontsize=7, color=MUTED)


def _draw_titles(axes: "Axes", rows: Sequence[Row], layout: _Layout) -> None:
    if layout.names_above:
        axes.set_yticks([])
        for place, title in enumerate(titles(rows)):
            text = textwrap.shorten(title, 52, placeholder=" …")
            axes.text(1, place - 0.36, text, va="center", fontsize=8.5)
        return
    shortened = [textwrap.shorten(title, _LONGEST, placeholder=" …") for title in titles(rows)]
    names = [textwrap.fill(title, 34 if layout.models else 30) for title in shortened]
    if layout.models:
        usual, models = _usual_model(rows), list(map(_model, rows))
        names = [
            name if model == usual else f"{name}\n{textwrap.fill(model, 34)}"
            for name, model in zip(names, models, strict=True)
        ]
    axes.set_yticks(range(len(rows)), names, fontsize=8.5, color=INK)


def _model(row: Row) -> str:
    seeds = f", {len(row.runs)} seeds" if len(row.runs) > 1 else ""
    return f"{row.first.backbone}, {row.first.input_size} px{seeds}"


def _usual_model(rows: Sequence[Row]) -> str:
    """Return the model of most rows."""
    return Counter(map(_model, rows)).most_common(1)[0][0]


def _draw_frame(axes: "Axes", rows: int, layout: _Layout, with_paper: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xlim(0, 116)
    axes.set_xticks(range(0, 101, 20), [f"{tick}%" for tick in range(0, 101, 20)], fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=RULE, linewidth=0.6, zorder=1)
    axes.spines[["top", "right", "left"]].set_visible(False)
    handles: list[Any] = [Patch(color=hue, label=metric) for metric, hue in _COLOURS.items()]
    if with_paper:
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
