"""Line charts: the course of training with its schedules, and accuracy against epsilon."""

import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gratis.report import charts
from gratis.report.charts import BLUE, GREEN, INK, MUTED, ORANGE, PINK, RED, RULE, SKY, Chart
from gratis.report.log_lines import LogLine
from gratis.report.rows import Row
from gratis.report.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Value = Callable[[LogLine], float | None]

_HELD_OUT = {"clean": (SKY, "o"), "fgsm": (ORANGE, "s"), "pgd": (RED, "D")}
LEGEND: dict[str, Any] = {
    "loc": "lower left",
    "bbox_to_anchor": (0, 1),
    "frameon": False,
    "borderaxespad": 0.2,
}
COLOURS, _MARKERS = (RED, BLUE, GREEN, ORANGE, PINK, SKY, INK), "osD^vPX"
# In letters: two columns of these fit a page, and one a phone.
_TITLE = 40


def training_chart(runs: Sequence[Run], name: str, title: str) -> Chart | None:
    """Return the training curves of the runs of one recipe, or ``None`` without a log.

    From top to bottom: accuracy, on the perturbed training batches and on held-out images; the
    loss; epsilon and the replays m, if the recipe has them.
    """
    logs = [run.log for run in runs if run.log]
    if not logs:
        return None
    scheduled = any(line.epsilon is not None for log in logs for line in log)
    text = f"Accuracy, loss{', epsilon and m' if scheduled else ''} through training: {title}"
    with charts.style():
        return Chart.of(name, text, _training_figure(logs, scheduled))


def _training_figure(logs: Sequence[Sequence[LogLine]], scheduled: bool) -> "Figure":
    heights = [1.5, 0.75, 0.75] if scheduled else [1.5, 0.75]
    figure = charts.new_figure(3.5, sum(heights) + 0.75)
    panels = figure.subplots(len(heights), sharex=True, height_ratios=heights)
    for axes in panels:
        plain_axes(axes, 7.5, length=2)
    _draw_accuracy(panels[0], logs)
    for log in logs:
        _plot(panels[1], log, lambda line: line.loss, color=INK, linewidth=1)
    panels[1].set_ylim(bottom=0)
    panels[1].set_ylabel("loss", fontsize=8)
    if scheduled:
        _draw_schedules(panels[2], logs)
    for epoch in [line.epoch for log in logs for line in log if line.kind == "rollback"]:
        for axes in panels:
            axes.axvline(epoch, color=MUTED, linewidth=0.8, linestyle=":")
    panels[-1].set_xlabel("epochs (passes / training images)", fontsize=8)
    panels[-1].set_xlim(left=0)
    figure.align_ylabels(panels)
    return figure


def plain_axes(axes: "Axes", size: float, **ticks: Any) -> None:
    """Give a panel its grid and the size of its numbers."""
    axes.grid(color=RULE, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=size, **ticks)


def _draw_accuracy(axes: "Axes", logs: Sequence[Sequence[LogLine]]) -> None:
    for rank, log in enumerate(logs):
        # A label that starts with an underscore stays out of the legend.
        hidden = "_" if rank else ""
        label = f"{hidden}training, as perturbed"
        accuracy = _percent(lambda line: line.accuracy)
        _plot(axes, log, accuracy, color=MUTED, linewidth=1, label=label)
        for metric, (colour, marker) in _HELD_OUT.items():
            look = {"color": colour, "marker": marker, "markersize": 3, "linewidth": 1.2}
            _plot(axes, log, _held_out(metric), label=f"{hidden}held-out {metric}", **look)
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 25))
    axes.set_ylabel("accuracy, %", fontsize=8)
    if axes.lines:
        axes.legend(ncols=2, fontsize=7.5, handlelength=1.6, columnspacing=1.2, **LEGEND)


def _draw_schedules(axes: "Axes", logs: Sequence[Sequence[LogLine]]) -> None:
    from matplotlib.ticker import MaxNLocator

    replays = axes.twinx()
    replays.spines[["top", "left"]].set_visible(False)
    for log in logs:
        _plot(axes, log, _in_255ths, color=BLUE, linewidth=1.2)
        dashed = {"linestyle": "--", "drawstyle": "steps-post"}
        _plot(replays, log, lambda line: line.replays, color=RED, linewidth=1, **dashed)
    # Different margins, so that two constants do not coincide.
    axes.set_ylim(0, 1.15 * axes.dataLim.y1 or 1)
    axes.set_ylabel("epsilon, /255", fontsize=8, color=BLUE)
    if replays.lines:
        replays.set_ylim(0, 1.5 * replays.dataLim.y1)
        replays.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        replays.set_ylabel("m (dashed)", fontsize=8, color=RED)
        replays.tick_params(labelsize=7.5, length=2)
    else:
        replays.set_visible(False)


def _plot(axes: "Axes", log: Sequence[LogLine], value: "Value", **look: Any) -> None:
    points = [(line.epoch, y) for line in log if (y := value(line)) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), **look)


def _percent(share: "Value") -> "Value":
    return lambda line: None if (value := share(line)) is None else 100 * value


def _held_out(metric: str) -> "Value":
    return _percent(lambda line: (line.held_out or {}).get(metric))


def _in_255ths(line: LogLine) -> float | None:
    return None if line.epsilon is None else 255 * line.epsilon


def epsilon_chart(rows: Sequence[Row]) -> Chart | None:
    """Return accuracy against epsilon for each row's first run; ``None`` if none has the curve."""
    with_curve = [row for row in rows if row.first.curve]
    if not with_curve:
        return None
    text = "Accuracy under PGD against epsilon, a line each model"
    with charts.style():
        return Chart.of(
            "epsilon", text, _epsilon_figure(with_curve, 7.2), _epsilon_figure(with_curve, 3.5)
        )


def _epsilon_figure(rows: Sequence[Row], width: float) -> "Figure":
    from matplotlib.ticker import MaxNLocator

    figure = charts.new_figure(width, 3.4 + 0.17 * len(rows))
    axes = figure.add_subplot()
    for number, row in enumerate(rows):
        axes.plot(
            [255 * epsilon for epsilon, _ in row.first.curve],
            [100 * accuracy for _, accuracy in row.first.curve],
            color=COLOURS[number % len(COLOURS)],
            marker=_MARKERS[number // len(COLOURS) % len(_MARKERS)],
            markersize=3.5,
            linewidth=1.2,
            label=short_title(row.first.title),
        )
    plain_axes(axes, 8, color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(left=0)
    axes.set_ylim(-3, 103)
    axes.set_xlabel("epsilon, /255", fontsize=8.5)
    axes.set_ylabel("accuracy, %", fontsize=8.5)
    axes.legend(ncols=2 if width > 5 else 1, fontsize=8.5, **LEGEND)
    return figure


def short_title(title: str) -> str:
    """Return a title as a legend shows it."""
    # A label that starts with an underscore stays out of the legend.
    return textwrap.shorten(title.lstrip("_"), _TITLE, placeholder=" …")
