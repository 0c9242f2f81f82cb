"""The chart of clean against robust accuracy of several models, with the Pareto front."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from gratis.report import charts
from gratis.report.charts import MUTED, RED, Chart
from gratis.report.line_charts import plain_axes
from gratis.report.model_choice import pareto_front
from gratis.report.rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Scatter(NamedTuple):
    """The chart, and the models behind its numbers.

    Attributes:
        chart: a point for each model, with its number.
        models: the title of each model, in the order of the numbers, and whether it is on the
            front.
    """

    chart: Chart
    models: Sequence[tuple[str, bool]]


def scatter_chart(rows: Sequence[Row], metric: str, attack: str) -> Scatter | None:
    """Return clean accuracy against that in ``metric``; ``None`` for a single model."""
    if len(rows) < 2:
        return None
    front = pareto_front(rows, metric)
    on_front = [any(row is each for each in front) for row in rows]
    text = f"Clean accuracy against accuracy under {attack}, with the Pareto front"
    with charts.style():
        wide, narrow = (
            _figure(rows, on_front, metric, attack, size) for size in ((7.2, 4.2), (3.5, 3.2))
        )
        chart = Chart.of("scatter", text, wide, narrow)
    titles = [row.first.title for row in rows]
    return Scatter(chart, list(zip(titles, on_front, strict=True)))


def _figure(
    rows: Sequence[Row],
    on_front: Sequence[bool],
    metric: str,
    attack: str,
    size: tuple[float, float],
) -> "Figure":
    figure = charts.new_figure(*size)
    axes = figure.add_subplot()
    points = [(row.value("clean"), row.value(metric)) for row in rows]
    front = sorted(point for point, best in zip(points, on_front, strict=True) if best)
    axes.plot(*zip(*front, strict=True), color=RED, linewidth=1, label="Pareto front")
    for number, (point, best) in enumerate(zip(points, on_front, strict=True), 1):
        axes.plot(*point, "o", color=RED if best else MUTED, markersize=5 if best else 3.5)
        axes.annotate(
            str(number),
            point,
            (4, 3),
            textcoords="offset points",
            fontsize=8.5 if best else 7,
            fontweight="bold" if best else "normal",
            color=charts.INK if best else MUTED,
        )
    plain_axes(axes, 8, color=MUTED)
    axes.margins(0.08)
    axes.set_xlabel("clean accuracy, %", fontsize=8.5)
    axes.set_ylabel(f"under {attack}, %", fontsize=8.5)
    axes.legend(fontsize=8.5, frameon=False, loc="best")
    return figure
