"""What hardening changed: a sentence, and the chart of the frontier."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gratis.report import charts
from gratis.report.charts import Chart
from gratis.report.line_charts import COLOURS, LEGEND, plain_axes, short_title
from gratis.report.rows import WORST
from gratis.report.table import in_common
from gratis.results import Frontier, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def what_changed(results: Results) -> str | None:
    """Return the accuracies before and after hardening in a sentence; ``None`` for other runs."""
    before = results.before
    if before is None:
        return None
    attacks, target = _attacks(results)
    values = {"clean": "", **attacks}
    pairs = {
        metric: (old, new)
        for metric in values
        if None not in (old := getattr(before, metric), new := getattr(results, metric))
    }
    robust = next((metric for metric in attacks if metric in pairs), None)
    text = (
        f"Hardened {target} in {results.seconds / 60:.1f} minutes of training: clean "
        f"accuracy {100 * before.clean:.1f}% before, {100 * results.clean:.1f}% after"
    )
    if robust is None:
        return f"{text}."
    old, new = pairs[robust]
    return f"{text}; under {attacks[robust]} {100 * old:.1f}% before, {100 * new:.1f}% after."


def _attacks(results: Results) -> tuple[dict[str, str], str]:
    """Return the attacks in the norm of the hardening by metric, and its target, as text."""
    suite = f"of the suite “{results.suite}”"
    adversary = results.resolved.get("adversary") or {}
    if any(isinstance(body, dict) and body.get("norm") == "l2" for body in adversary.values()):
        epsilon = results.resolved["evaluate"]["epsilon_l2"]
        return {"robust_l2": f"every L2 attack {suite}"}, f"in L2 at epsilon {epsilon:g}"
    attacks = {WORST: f"every attack {suite}", "pgd": f"PGD-{results.pgd_steps}"}
    return attacks, f"at epsilon {in_common([results], 'epsilon')}"


def frontier_chart(frontiers: Sequence[tuple[str, Frontier]]) -> Chart | None:
    """Return clean against robust accuracy of each run's models; ``None`` without any run."""
    if not frontiers:
        return None
    text = "Clean against robust accuracy between the natural and the hardened model"
    with charts.style():
        wide, narrow = (_figure(frontiers, width) for width in (7.2, 3.5))
        return Chart.of("frontier", text, wide, narrow)


def _figure(frontiers: Sequence[tuple[str, Frontier]], width: float) -> "Figure":
    figure = charts.new_figure(width, 3.6 + 0.17 * len(frontiers))
    axes = figure.add_subplot()
    for number, (title, frontier) in enumerate(frontiers):
        _draw(axes, COLOURS[number % len(COLOURS)], title, frontier)
    plain_axes(axes, 8, color=charts.MUTED)
    axes.margins(0.12)
    axes.set_xlabel("clean accuracy, %", fontsize=8.5)
    axes.set_ylabel("accuracy under PGD, %", fontsize=8.5)
    axes.legend(fontsize=8.5, **LEGEND)
    return figure


def _draw(axes: "Axes", colour: str, title: str, frontier: Frontier) -> None:
    points = [(100 * point.clean, 100 * point.pgd) for point in frontier.points]
    label = short_title(title)
    axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3.5, label=label)
    chosen = frontier.chosen_point
    axes.plot(
        100 * chosen.clean,
        100 * chosen.pgd,
        "o",
        markersize=9,
        markerfacecolor="none",
        markeredgecolor=colour,
    )
    for point, place in zip(frontier.points, points, strict=True):
        axes.annotate(f"{point.alpha:g}", place, (4, 4), textcoords="offset points", fontsize=7.5)
